"""A model as attacks see it: a fast equivalent to craft on, the model itself to decide."""

from __future__ import annotations

from functools import cached_property
from typing import get_args

import torch
from torch import Tensor, nn

from vsmooth.attacks import Target
from vsmooth.attacks.target import JUDGEMENTS, Logits
from vsmooth.bounds import check_one_of
from vsmooth.evaluate.predict import evaluation_mode, model_device
from vsmooth.head import LogitSet, virtual_heads
from vsmooth.models.inference import InferenceNetwork, Precision, inference_network

_SAMPLES = 8  # images that the inference network, and whether the model is randomised, are checked on
_PASSES = 5  # in which a network that is not randomised gives the same logits
_ROUNDING = 1e-4  # of the largest logit: operations whose order is not fixed differ by less


def attack_target(
    model: nn.Module,
    sample_images: Tensor,
    view: LogitSet = "real",
    *,
    num_classes: int,
    precision: Precision = "fp32",
    fold: bool = True,
    compile: bool = False,
    judgements: int = 1,
) -> Target:
    """`model` as attacks see it: they craft on a fast equivalent, and the model itself decides, in eval mode and fp32.

    view: "real" for the K real logits, "all" for K + V. sample_images (N, C, H, W): a few, which the equivalent network
    is checked on. judgements: of each image, see `Target`. ValueError for "all" without virtual classes, and unknown
    words.
    """
    check_one_of("view", view, get_args(LogitSet))
    check_one_of("precision", precision, get_args(Precision))
    if view == "all" and not virtual_heads(model):
        raise ValueError("the model has no virtual classes: attack its real logits (view='real')")
    craft = inference_network(
        model,
        sample_images.to(model_device(model)),
        real_only=view == "real",
        fold=fold,
        compile=compile,
        dtype=torch.bfloat16 if precision == "bf16" else None,
    )

    return Target(num_classes, craft, _decider(model), judgements)


def _decider(model: nn.Module) -> Logits:
    def decide(images: Tensor) -> Tensor:
        with evaluation_mode(model), torch.autocast(images.device.type, enabled=False):
            logits: Tensor = model(images)
        return logits.float()

    return decide


class Targets:
    """The targets of one model, each built when it is first asked for; the settings are those of `attack_target`."""

    def __init__(
        self, model: nn.Module, images: Tensor, *, num_classes: int, fold: bool = True, compile: bool = False
    ) -> None:
        self.model, self.device, self.num_classes = model, model_device(model), num_classes
        self._samples, self._fold, self._compile = images[:_SAMPLES], fold, compile
        self._built: dict[tuple[LogitSet, Precision], Target] = {}

    @cached_property
    def judgements(self) -> int:
        """How often each image is judged: once, or `JUDGEMENTS` times where the model gives other logits each time."""
        images = self._samples.float().to(self.device)
        decide = _decider(self.model)
        with torch.no_grad(), torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            first, *others = (decide(images) for _ in range(_PASSES))
        slack = _ROUNDING * max(1.0, float(first.abs().max()))
        return JUDGEMENTS if any((logits - first).abs().max() > slack for logits in others) else 1

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the result should know of the networks that were built so far, as sentences."""
        crafts = [target.craft for target in self._built.values()]
        reasons = dict.fromkeys(craft.refused for craft in crafts if isinstance(craft, InferenceNetwork))
        return tuple(f"BatchNorms were not folded, which is slower: {reason}." for reason in reasons if reason)

    def __call__(self, view: LogitSet, precision: Precision = "fp32") -> Target:
        if (view, precision) not in self._built:
            self._built[view, precision] = attack_target(
                self.model,
                self._samples,
                view,
                num_classes=self.num_classes,
                precision=precision,
                fold=self._fold,
                compile=self._compile,
                judgements=self.judgements,
            )
        return self._built[view, precision]
