"""Adversarially robust distillation (ARD): a student that imitates a robust teacher on adversarial images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor, nn

from vsmooth.data import Batch
from vsmooth.head import LogitSet
from vsmooth.losses import Divergence
from vsmooth.methods.adversarial.base import AdversarialMethod, Crafted
from vsmooth.methods.adversarial.crafting import Inner
from vsmooth.methods.base import Loss
from vsmooth.methods.distill import check_gamma, compared_logits
from vsmooth.methods.teacher import Teacher

StudentAttack = Literal["kl", "kl-teacher", "ce"]


class Lesson(NamedTuple):
    """A crafted batch, and the teacher's logits (N, C) for its clean images; ``None`` where they have no weight."""

    crafted: Crafted
    teacher: Tensor | None


@dataclass(frozen=True)
class RobustDistillation(AdversarialMethod):
    """``gamma * tau^2 * KL(teacher(x) || student(x')) + (1 - gamma) * objective(student(x))``.

    x' is searched on the student's K real logits: where its prediction is furthest from that for the clean image ("kl",
    the choice of the paper's code), from the teacher's ("kl-teacher"), or where the cross entropy is highest ("ce").
    gamma in [0, 1]; divergence: KL with tau, or another. Loss parts, unweighted: "kd" (tau^2 included) and "ce".

    Errors: as :class:`Distill`.
    Limits: a student that is its own teacher has kd 0 at epsilon 0; epsilon 0 is :class:`Distill`.
    Source: Goldblum et al., "Adversarially Robust Distillation" (AAAI 2020), Eq. 3; "kl-teacher": Zi et al. (RSLAD,
    ICCV 2021); gamma 1, tau 1: the paper (2025), Sec. 4.3.
    """

    teacher: Teacher = field(kw_only=True)
    gamma: float = 1.0
    divergence: Divergence = field(default_factory=lambda: Divergence(tau=1.0))
    attack: StudentAttack = "kl"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gamma(self.gamma)

    @property
    def climbed(self) -> LogitSet:
        return "real"

    @property
    def inner(self) -> Inner:
        return "ce" if self.attack == "ce" else "kl"

    def craft(self, model: nn.Module, batch: Batch) -> Lesson:  # type: ignore[override]
        taught = self.teacher.logits(batch) if self.gamma > 0 or self.attack == "kl-teacher" else None
        reference = taught if self.attack == "kl-teacher" else None
        return Lesson(Crafted(batch, self.crafter.images(model, batch, self.inner, reference)), taught)

    def loss(self, model: nn.Module, crafted: Lesson) -> Loss:  # type: ignore[override]
        (batch, images), taught = crafted
        terms: dict[str, tuple[float, Tensor]] = {}
        if self.gamma > 0 and taught is not None:
            student = compared_logits(taught, model(images), self.num_classes)
            terms["kd"] = self.gamma, self.divergence(taught, student, batch.labels)
        if self.gamma < 1:
            terms["ce"] = 1 - self.gamma, self.label_loss(model(batch.images), batch)
        return Loss.of(terms)
