"""Robust distillation (ARD) as a value of a run's spec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, get_args

from vsmooth.bounds import check_one_of
from vsmooth.experiments.specs.adversarial import AdversarialSettings, AdversarialTrainingSettings
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.head import LogitSet
from vsmooth.losses import Divergence, Objective
from vsmooth.methods import Method, RobustDistillation, Teacher
from vsmooth.methods.adversarial import StudentAttack
from vsmooth.methods.distill import check_gamma


@dataclass(frozen=True)
class RobustDistillationSettings(AdversarialSettings):
    """What a student learns from a robust teacher; see :class:`vsmooth.methods.RobustDistillation`.

    teacher: fingerprint of its weights. gamma, divergence: as in :class:`Distillation`, with tau 1.
    Errors: ValueError for gamma outside [0, 1], an unknown attack.
    """

    kind: ClassVar[str] = "ard"
    method = RobustDistillation
    teacher: str = ""
    gamma: float = 1.0
    divergence: Divergence = field(default_factory=lambda: Divergence(tau=1.0))
    attack: StudentAttack = "kl"
    logits: ClassVar[LogitSet] = "real"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gamma(self.gamma)
        check_one_of("the attack on the student", self.attack, get_args(StudentAttack))
        if self.crafting.start == "clean" and self.attack == "kl":
            raise ValueError('the attack "kl" has no gradient at the clean image: choose --start uniform or gaussian')

    @property
    def name(self) -> str:
        return "ARD"

    def untaught(self) -> AdversarialTrainingSettings:
        """Adversarial training of the same student by itself, on images searched in the same ball."""
        return AdversarialTrainingSettings(self.crafting, self.watch, self.label_warmup)

    def build(self, objective: Objective, num_classes: int, teacher: Teacher | None) -> Method:
        if teacher is None:
            raise ValueError("robust distillation needs a teacher, got none")
        return self.method(objective, num_classes, **{**self.own(), "teacher": teacher})


Taught = Distillation | RobustDistillationSettings
