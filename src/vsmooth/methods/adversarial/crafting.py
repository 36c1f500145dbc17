"""How the adversarial images of a training are made: radius, steps, start, mode of the network, speed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vsmooth.attacks import Climb, Logits, Target, ThreatModel, divergence_from, make_aim
from vsmooth.bounds import MOST_EPOCHS, check_count, check_one_of
from vsmooth.data import Batch
from vsmooth.evaluate.predict import evaluation_mode
from vsmooth.evaluate.representation.features import every_logit
from vsmooth.head import LogitSet
from vsmooth.methods.base import bare, running_averages_kept
from vsmooth.models import InferenceNetwork, Precision, inference_network

Start = Literal["uniform", "gaussian", "clean"]
BatchNormMode = Literal["eval", "train"]
Inner = Literal["ce", "kl", "margin"]

_GAUSSIAN = 1e-3  # deviation of TRADES's start, in units of pixels in [0, 1]
_MOST_STEPS = 10_000
_COMPARED = 4  # images on which a folded network must agree


@dataclass(frozen=True)
class Crafting:
    """Projected gradient ascent in the L-infinity ball around each training image: ``steps`` forward and backward
    passes that compute no gradient of a weight.

    epsilon, step_size: in units of pixels in [0, 1]: 8/255, not 8. steps: at least 1.
    start: "uniform", U(-epsilon, epsilon) in each pixel; "gaussian", .001 N(0, 1), as TRADES; "clean", the image.
    batchnorm: "eval", the network is in eval mode (running averages, no dropout); "train", it is in train mode, with
        the statistics of the batch. Crafting moves no running average in either.
    epsilon_warmup: epochs over which the radius and the step size grow linearly: in epoch e, counted from 0, they are
        ``min(1, (e + 1) / (epsilon_warmup + 1))`` of their values.
    fold: craft on a copy of the network whose BatchNorms are part of its convolutions ("eval" only). It is faster and
        equal up to rounding.
    precision: "bf16" crafts on a copy in bfloat16, whatever the training's precision; "fp32" in single precision.

    Errors: ValueError for an epsilon outside [0, 1], steps below 1, a step size that is not positive, unknown names.
    Limits: epsilon 0 gives the images themselves, at no cost.
    Source: Madry et al. (ICLR 2018), Eq. 2.1; the paper (2025), Sec. 4.2: epsilon .031, 10 steps of .00784.
    """

    epsilon: float = 8 / 255
    steps: int = 10
    step_size: float = 2 / 255
    start: Start = "uniform"
    batchnorm: BatchNormMode = "eval"
    epsilon_warmup: int = 0
    fold: bool = True
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        _check_radius("epsilon", self.epsilon)
        _check_radius("step_size", self.step_size)
        if self.step_size == 0:
            raise ValueError("step_size must be positive, got 0; the paper takes 2/255")
        check_count("the number of attack steps", self.steps, 1, _MOST_STEPS, "no training takes so many for a batch")
        check_count("epsilon_warmup", self.epsilon_warmup, 0, MOST_EPOCHS, "no training has more epochs")
        for name, allowed in (("start", Start), ("batchnorm", BatchNormMode), ("precision", Precision)):
            check_one_of(name, getattr(self, name), get_args(allowed))
        if self.batchnorm == "train" and self.precision == "bf16":
            raise ValueError('crafting in bf16 needs the network in eval mode: choose batchnorm "eval"')

    def in_epoch(self, epoch: int) -> Crafting:
        """The settings of one epoch, counted from 0."""
        share = min(1.0, (epoch + 1) / (self.epsilon_warmup + 1))
        if share == 1:
            return self
        return replace(self, epsilon=share * self.epsilon, step_size=share * self.step_size)

    @property
    def threat(self) -> ThreatModel:
        """The ball that the images are searched in."""
        return ThreatModel(epsilon=self.epsilon)

    def first(self, images: Tensor) -> Tensor:
        """Where the search begins; drawn from the CPU's global generator, the same on every device."""
        if self.start == "clean":
            return images
        if self.start == "uniform":
            return self.threat.random_start(images, torch.default_generator)
        noise = torch.randn(images.shape).mul_(_GAUSSIAN).to(images)
        return self.threat.project(images + noise, images)


@dataclass(eq=False)
class Crafter:
    """Makes adversarial images on the network as it is now.

    logits: "all" K + V, or the "real" ones, that the search climbs on. A folded copy is traced once and then follows
    the network (:meth:`vsmooth.models.InferenceNetwork.follow`).
    """

    crafting: Crafting
    num_classes: int
    logits: LogitSet = "all"
    _copies: dict[int, InferenceNetwork] = field(default_factory=dict, repr=False)

    def images(self, model: nn.Module, batch: Batch, inner: Inner, reference: Tensor | None = None) -> Tensor:
        """(N, C, H, W) without gradient, for hard labels (N,); the clean images where epsilon is 0.

        inner: "ce", cross entropy with the hard label; "kl", KL(clean softmax || attacked softmax); "margin", the lead
        of the best other class. reference: the logits, as many as are climbed on, that the divergence is measured from
        instead of the clean ones. Errors: ValueError for mixed labels.
        """
        crafting = self.crafting.in_epoch(batch.epoch)
        if crafting.epsilon == 0:
            return batch.images
        images, labels = batch.images.detach(), batch.labels
        if labels.is_floating_point():
            raise ValueError("adversarial training needs class indices, got mixed labels: --mixup 0 --cutmix 0")
        with self._network(bare(model), images) as logits:
            target = Target(self.num_classes, logits, logits)  # a climb that keeps the last image decides nothing
            aim = make_aim(inner, target, images, labels) if reference is None else divergence_from(reference)
            climb = Climb(crafting.steps, crafting.step_size)
            return climb(target, aim, crafting.first(images), images, labels, crafting.threat).detach()

    @contextmanager
    def _network(self, model: nn.Module, images: Tensor) -> Iterator[Logits]:
        """The logits that are climbed on: of a copy in eval mode, or of the network itself."""
        crafting = self.crafting
        if crafting.batchnorm == "eval" and (crafting.fold or crafting.precision == "bf16"):
            with torch.autocast(images.device.type, enabled=False):
                yield self._copy(model, images).forward
            return
        real = self.logits == "real"

        def logits(pixels: Tensor) -> Tensor:
            found: Tensor = model(pixels)
            return found[:, : self.num_classes] if real else found

        if crafting.batchnorm == "train":
            with running_averages_kept(model):
                yield logits
        else:
            with evaluation_mode(model), every_logit(model):
                yield logits

    def _copy(self, model: nn.Module, images: Tensor) -> InferenceNetwork:
        if id(model) not in self._copies:
            half = torch.bfloat16 if self.crafting.precision == "bf16" else None
            copied = inference_network(
                model,
                images[:_COMPARED].contiguous(),
                real_only=self.logits == "real",
                fold=self.crafting.fold,
                dtype=half,
            )
            self._copies = {id(model): copied}
        found = self._copies[id(model)]
        found.follow(model)  # also the first time, or a resumed training would differ in its last bits
        return found


def _check_radius(name: str, value: float) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value <= 1:
        hint = f"; did you mean {value:g}/255?" if isinstance(value, Real) and 1 < value <= 255 else ""
        raise ValueError(f"{name} is in units of pixels in [0, 1], got {value!r}{hint}")
