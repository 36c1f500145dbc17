"""Distillation as a value of a run's spec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, get_args

from vsmooth.bounds import MOST_EPOCHS, check_count, check_one_of
from vsmooth.data import NO_MIXING, Mixing
from vsmooth.experiments.specs.method import MethodSettings
from vsmooth.head import LogitSet
from vsmooth.losses import Divergence, Objective
from vsmooth.methods import Distill, Method, Teacher
from vsmooth.methods.distill import check_gamma

_MOST_LOGITS = 1_000_000


@dataclass(frozen=True)
class Distillation(MethodSettings):
    """What a student learns from a teacher; see :class:`vsmooth.methods.Distill`.

    teacher: fingerprint of its weights or logits, so that another teacher makes another run.
    gamma: weight of the divergence; the student's own cross entropy weighs 1 - gamma.
    logits: "real", the K of the real classes, or "all" K + V.
    views: the teacher's logits are computed once for so many views of each image; None: anew for every image seen.
    top_k: of these, how many are kept one by one; None: all.
    Errors: ValueError for gamma outside [0, 1], fewer than 1 views or top k, a top k without views, unknown logits.
    """

    kind: ClassVar[str] = "distillation"
    teacher: str = ""
    gamma: float = 1.0
    divergence: Divergence = field(default_factory=Divergence)
    logits: LogitSet = "real"
    views: int | None = None
    top_k: int | None = None

    def __post_init__(self) -> None:
        check_gamma(self.gamma)
        check_one_of("the logits that are taught", self.logits, get_args(LogitSet))
        if self.views is not None:
            why = "an epoch shows one view, and no training has more epochs"
            check_count("the number of views that a teacher's cache holds", self.views, 1, MOST_EPOCHS, why)
        if self.top_k is not None and self.views is None:
            raise ValueError(f"top_k={self.top_k} says what a cache keeps: give the number of its views too")
        if self.top_k is not None:
            check_count("top_k", self.top_k, 1, _MOST_LOGITS, "leave it out to keep all logits")

    @property
    def name(self) -> str:
        return "KD"

    def check_fits(self, mixing: Mixing) -> None:
        """Raise ``ValueError`` for images of which nothing can be saved, and labels that cannot be decoupled."""
        if mixing != NO_MIXING and self.views is not None:
            raise ValueError(
                "MixUp and CutMix show other images in every epoch, which no saved logits are for: leave them out "
                "(--mixup 0 --cutmix 0) or let the teacher look at each batch (no --cache-teacher, no file of logits)"
            )
        if mixing != NO_MIXING and self.divergence.kind == "decoupled":
            raise ValueError("decoupled distillation has no meaning for the mixed labels of MixUp and CutMix")

    def build(self, objective: Objective, num_classes: int, teacher: Teacher | None) -> Method:
        if teacher is None:
            raise ValueError("distillation needs a teacher, got none")
        return Distill(teacher, objective, num_classes, self.gamma, self.divergence)
