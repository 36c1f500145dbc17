"""Objectives that attacks maximise: functions of the logits and of a few rows of numbers for each sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from vsmooth.attacks.target import Target
from vsmooth.losses import dlr, kl_divergence, margin, targeted_margin

Objective = Literal["ce", "kl", "margin", "dlr"]


@dataclass(frozen=True)
class AdaptiveMargin:
    """``max_{j != y, j < K} z_j - z_y - lam * max_{v >= K} z_v``: the real margin, away from the virtual classes.

    It needs all K + V logits (view "all"). lam, a number >= 0, weighs the largest virtual logit: an attacker who knows
    how the model was trained may gain from leaving the region of the virtual classes, or from not caring.
    Limits: lam 0 is the margin of the K real logits.
    Errors: ValueError for a negative lam, logits without virtual ones.
    """

    lam: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.lam < math.inf:
            raise ValueError(f"lambda must be 0 or a positive number, got {self.lam}")

    def __call__(self, logits: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        """(N,) of logits (N, K + V)."""
        if logits.shape[1] <= num_classes:
            raise ValueError(
                f"the adaptive margin needs K + V logits, got {logits.shape[1]} for {num_classes} real classes: attack "
                'the view "all" of a model with virtual classes'
            )
        real = margin(logits[:, :num_classes], labels)
        return real - self.lam * logits[:, num_classes:].max(1).values if self.lam else real


@dataclass(frozen=True, eq=False)
class Aim:
    """``function(logits, *values)``, (N,), to be maximised; each of ``values`` has one row a sample."""

    function: Callable[..., Tensor]
    values: tuple[Tensor, ...]

    def __call__(self, logits: Tensor) -> Tensor:
        """One number a sample, in float32 for half-precision logits."""
        return self.function(logits.to(torch.promote_types(logits.dtype, torch.float32)), *self.values)

    def rows(self, kept: Tensor) -> Aim:
        """The aim of the samples ``kept``, bool or indices."""
        return Aim(self.function, tuple(value[kept] for value in self.values))


def make_aim(objective: Objective | AdaptiveMargin, target: Target, images: Tensor, labels: Tensor) -> Aim:
    """The objective for these clean images (N, C, H, W) and labels (N,).

    "ce": ``logsumexp(z) - z_y``; "kl": KL(softmax of the clean logits || softmax of the attacked ones), as in TRADES
    (Zhang et al. 2019, Eq. 5), which costs one forward pass here; "margin" and "dlr" as in `vsmooth.losses`. All over
    the logits that ``target.craft`` gives, K or K + V. ValueError for another name.
    """
    check_objective(objective)
    if isinstance(objective, AdaptiveMargin):
        return Aim(partial(objective, num_classes=target.num_classes), (labels,))
    if objective == "kl":
        with torch.no_grad():
            return divergence_from(target.craft(images))
    return Aim({"ce": _cross_entropy, "margin": margin, "dlr": dlr}[objective], (labels,))


def divergence_from(reference: Tensor) -> Aim:
    """KL(softmax of ``reference`` || softmax of the attacked logits), both (N, C)."""
    return Aim(_kl, (reference,))


def make_targeted_aim(target: Target, labels: Tensor, classes: Tensor) -> Aim:
    """The real margin towards one class each, ``z_t - z_y`` with t = ``classes`` (N,) in 0..K-1."""

    def real_margin(logits: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
        return targeted_margin(target.real(logits), labels, classes)

    return Aim(real_margin, (labels, classes))


def check_objective(objective: Objective | AdaptiveMargin) -> None:
    """Errors: ValueError for an unknown name."""
    if not isinstance(objective, AdaptiveMargin) and objective not in get_args(Objective):
        names = ", ".join(get_args(Objective))
        raise ValueError(f"objective must be one of {names} or an AdaptiveMargin, got {objective!r}")


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def _kl(logits: Tensor, reference: Tensor) -> Tensor:
    return kl_divergence(reference, logits, reduction="none")
