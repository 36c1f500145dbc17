"""The loop of all gradient attacks, and repeated attempts on the samples that still stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from vsmooth.attacks.objectives import Aim
from vsmooth.attacks.target import Logits, Target
from vsmooth.attacks.threat import ThreatModel
from vsmooth.bounds import check_one_of

Rule = Literal["constant", "cosine", "momentum"]
Keep = Literal["last", "best"]


@dataclass(frozen=True)
class Climb:
    """Projected ascent ``x <- project(x + step * ascent(gradient))``: one forward and one backward pass a step.

    steps: how many, at least 1. step_size: in units of pixels in [0, 1]; ``None`` is ``2.5 * epsilon / steps``.
    rule: "constant"; "cosine": ``step_size * (1 + cos(pi (t + 1/2) / steps))``, which walks as far in all;
        "momentum": constant, along ``m <- m + g / |g|_1`` (Dong et al., CVPR 2018, Eq. 6, decay 1).
    keep: "last": the last image, the convention of the literature's PGD-20; "best": the first image that the shipped
        model takes for another class. Such a sample leaves the batch. The logits of ``craft`` find it and ``decide``
        confirms it, so that an approximation cannot end a search too early.

    Errors: ValueError for fewer steps, a step size that is not positive, another rule or keep.
    """

    steps: int = 20
    step_size: float | None = None
    rule: Rule = "constant"
    keep: Keep = "last"

    def __post_init__(self) -> None:
        check_count(self.steps, "steps")
        if self.step_size is not None and not 0 < self.step_size < math.inf:
            raise ValueError(f"step_size must be positive, or None for 2.5 * epsilon / steps, got {self.step_size}")
        check_one_of("rule", self.rule, get_args(Rule))
        check_one_of("keep", self.keep, get_args(Keep))

    def __call__(
        self, target: Target, aim: Aim, start: Tensor, origin: Tensor, labels: Tensor, threat: ThreatModel
    ) -> Tensor:
        """Images (N, C, H, W) in the ball around ``origin``, from ``start`` uphill on ``aim``."""
        threat.check_fits(origin, self.step_size)
        found, moving = start, _Moving(torch.arange(len(start), device=start.device), start, origin, labels, aim)
        for step in range(self.steps):
            gradient, logits = input_gradient(target.craft, moving.aim, moving.images)
            if self.keep == "best":
                fooled = target.fooled(logits, moving.images, moving.labels)
                if fooled.any():
                    found = found.index_copy(0, moving.rows[fooled], moving.images[fooled])
                    moving, gradient = moving.only(~fooled), gradient[~fooled]
                    if not len(moving.rows):
                        return found
            if self.rule == "momentum":
                gradient = _normalised(gradient) + (0 if moving.velocity is None else moving.velocity)
            images = moving.images + self._length(step, threat) * threat.ascent(gradient)
            velocity = gradient if self.rule == "momentum" else None
            moving = replace(moving, images=threat.project(images, moving.origin), velocity=velocity)
        return moving.images if len(moving.rows) == len(found) else found.index_copy(0, moving.rows, moving.images)

    def _length(self, step: int, threat: ThreatModel) -> float:
        size = 2.5 * threat.epsilon / self.steps if self.step_size is None else self.step_size
        return size * (1 + math.cos(math.pi * (step + 0.5) / self.steps)) if self.rule == "cosine" else size


def input_gradient(craft: Logits, aim: Aim, images: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of the aim's sum with respect to images (N, C, H, W), and the logits, both detached.

    No gradient of a weight is computed. The sum, not the mean: no sample's gradient shrinks with the batch. ValueError
    where the logits do not depend on the images by a derivative.
    """
    with torch.enable_grad():
        pixels = images.detach().requires_grad_()
        logits = craft(pixels)
        if not logits.requires_grad:
            raise ValueError("craft gives logits without a derivative in the images: does it run without gradients?")
        (gradient,) = torch.autograd.grad(aim(logits).sum(), pixels)
    return gradient, logits.detach()


def attempt_in_turn(
    target: Target, images: Tensor, labels: Tensor, attempts: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Each attempt on the samples that all before it left standing; (N, C, H, W), the last try where none succeeded.

    An attempt takes the samples' row indices and gives their images. The last one is not judged here.
    """
    found, rows = images, torch.arange(len(images), device=images.device)
    for number, attempt in enumerate(attempts, start=1):
        tried = attempt(rows)
        found = tried if len(rows) == len(images) else found.index_copy(0, rows, tried)
        if number < len(attempts):
            rows = rows[~target.broken(tried, labels[rows])]
            if not len(rows):
                break
    return found


def check_count(count: int, name: str) -> None:
    """Errors: ValueError unless it is a whole number of at least 1."""
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {count!r}")


@dataclass(frozen=True, eq=False)
class _Moving:
    """The samples of a batch that still climb; rows: their places in it."""

    rows: Tensor
    images: Tensor
    origin: Tensor
    labels: Tensor
    aim: Aim
    velocity: Tensor | None = None

    def only(self, kept: Tensor) -> _Moving:
        velocity = None if self.velocity is None else self.velocity[kept]
        rows, images, origin, labels = (v[kept] for v in (self.rows, self.images, self.origin, self.labels))
        return _Moving(rows, images, origin, labels, self.aim.rows(kept), velocity)


def _normalised(gradient: Tensor) -> Tensor:
    finite = gradient.nan_to_num()
    return finite / finite.abs().mean((1, 2, 3), keepdim=True).clamp(min=torch.finfo(finite.dtype).tiny)
