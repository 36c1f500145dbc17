"""Adversarial weight perturbation (AWP): each step's gradient is taken where the weights are worst nearby."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributed import all_reduce, get_world_size, is_initialized

from vsmooth.bounds import MOST_EPOCHS, check_count, check_one_of
from vsmooth.classifier import find_classifier
from vsmooth.head import virtual_heads
from vsmooth.methods.base import Loss, Method, bare, running_averages_kept
from vsmooth.methods.step import Plain, StepRule

Layers = Literal["all", "body", "classifier"]
_TINY = 1e-20
_LARGEST = 10.0


@dataclass(frozen=True)
class WeightPerturbation(StepRule):
    """The gradient at ``w + v`` with ``v = gamma |w| g / |g|`` for each layer alone, g the gradient of the loss at w.

    Only weights of more than one dimension are perturbed. After the backward pass they are put back bit for bit; the
    optimizer then moves them by the gradient found at ``w + v``. The adversarial images are those crafted at w.
    gamma: relative size of the perturbation, >= 0 (.005 for wide networks, .01 for ResNet-18 in the source).
    warmup: epochs of plain steps before it starts (10 with TRADES in the source, 0 with AT).
    layers: "all"; "body", without the classifier; or the "classifier" alone.

    Each batch has a second forward and backward pass, in which BatchNorm's running averages stay as they were. With
    accumulated gradients each batch is perturbed by its own gradient; with several processes by the mean gradient.
    Errors: ValueError for a gamma that is negative or above 10, a negative warm-up, unknown layers.
    Limits: gamma 0 is :class:`Plain`.
    Source: Wu et al., "Adversarial Weight Perturbation Helps Robust Generalization" (NeurIPS 2020), Eq. 9 and 10.
    """

    kind: ClassVar[str] = "awp"
    gamma: float = 0.005
    warmup: int = 0
    layers: Layers = "all"

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= _LARGEST:
            raise ValueError(f"gamma of the weight perturbation must be in [0, {_LARGEST:g}], got {self.gamma}")
        check_count("the warm-up of the weight perturbation", self.warmup, 0, MOST_EPOCHS, "no training is longer")
        check_one_of("the perturbed layers", self.layers, get_args(Layers))

    @property
    def name(self) -> str:
        """Short, as in the name of a variant."""
        return "AWP"

    def backward(
        self, method: Method, model: nn.Module, crafted: Any, backward: Callable[[Tensor], None], *, epoch: int = 0
    ) -> Loss:
        if not self.gamma or epoch < self.warmup:
            return Plain().backward(method, model, crafted, backward, epoch=epoch)
        weights = self._weights(bare(model))
        with _perturbed(weights, self._directions(method, bare(model), crafted, weights)):
            loss = method.loss(model, crafted)
            backward(loss.total)
        return loss

    def _weights(self, model: nn.Module) -> list[nn.Parameter]:
        matrices = [weight for weight in model.parameters() if weight.requires_grad and weight.ndim > 1]
        if self.layers == "all":
            return matrices
        heads: list[nn.Module] = [head for _, head in virtual_heads(model)]
        heads = heads or [find_classifier(model)[1]]
        theirs = {weight for head in heads for weight in head.parameters()}
        return [weight for weight in matrices if (weight in theirs) == (self.layers == "classifier")]

    def _directions(
        self, method: Method, model: nn.Module, crafted: Any, weights: list[nn.Parameter]
    ) -> tuple[Tensor, ...]:
        """v of each weight. Without the wrapper of several processes, which takes one forward pass a backward pass."""
        with running_averages_kept(model):
            gradients = torch.autograd.grad(method.loss(model, crafted).total, weights, allow_unused=True)
        found = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, gradients, strict=True)]
        if is_initialized() and get_world_size() > 1:
            for gradient in found:
                all_reduce(gradient)
        return tuple(
            gradient * (self.gamma * weight.detach().norm() / gradient.norm().clamp(min=_TINY))
            for weight, gradient in zip(weights, found, strict=True)
        )


@contextmanager
def _perturbed(weights: list[nn.Parameter], directions: tuple[Tensor, ...]) -> Iterator[None]:
    """The weights moved by ``directions``, and put back bit for bit afterwards, also after an error."""
    before = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight.add_(direction)
        yield
    finally:
        with torch.no_grad():
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)
