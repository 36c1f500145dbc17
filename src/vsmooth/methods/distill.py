"""Knowledge distillation: the student imitates a teacher's logits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from vsmooth.data import Batch
from vsmooth.losses import Divergence, Objective
from vsmooth.methods.base import Loss, Method
from vsmooth.methods.teacher import Teacher


class Taught(NamedTuple):
    """A batch and the teacher's logits (B, C) for it; ``None`` where they have no weight."""

    batch: Batch
    teacher: Tensor | None


@dataclass(frozen=True)
class Distill(Method):
    """``gamma * tau^2 * KL(teacher || student) + (1 - gamma) * objective(student)``.

    teacher: its logits are of the K real classes, or of all K + V where teacher and student have the same V.
    objective, num_classes: of the student's own loss; the student has the width that it wants.
    gamma: weight of the divergence in [0, 1]; the cross entropy weighs 1 - gamma. (One library calls alpha the weight
    of the cross entropy.) divergence: KL at temperature tau, or another; tau^2 keeps its gradient's scale.
    Loss parts, unweighted: "kd" (tau^2 included) and "ce"; a part without weight is not computed.

    Raises:
        ValueError: gamma outside [0, 1]; where the loss is computed, a student narrower than the teacher's logits.

    Limits: gamma 0 is :class:`Standard`, and the teacher is not asked; gamma 1 sees no label. A teacher equal to the
    student gives kd 0. With growing tau the kd gradient tends to that of ``|centred z_s - centred z_t|^2 / (2 C)``.
    Source: Hinton et al., "Distilling the Knowledge in a Neural Network" (2015); gamma 1, tau 30: the paper, Sec. 4.1.
    """

    teacher: Teacher
    objective: Objective
    num_classes: int
    gamma: float = 1.0
    divergence: Divergence = field(default_factory=Divergence)

    def __post_init__(self) -> None:
        check_gamma(self.gamma)

    def craft(self, model: nn.Module, batch: Batch) -> Taught:
        """The batch and the teacher's logits for it."""
        return Taught(batch, self.teacher.logits(batch) if self.gamma > 0 else None)

    def loss(self, model: nn.Module, crafted: Taught) -> Loss:
        batch, teacher = crafted
        logits = model(batch.images)
        terms: dict[str, tuple[float, Tensor]] = {}
        if teacher is not None:
            student = compared_logits(teacher, logits, self.num_classes)
            terms["kd"] = self.gamma, self.divergence(teacher, student, batch.labels)
        if self.gamma < 1:
            terms["ce"] = 1 - self.gamma, self.objective.loss(logits, batch.labels, self.num_classes)
        return Loss.of(terms)


def compared_logits(teacher: Tensor, student: Tensor, num_classes: int) -> Tensor:
    """The student's logits (N, C) that a teacher's are compared with; ``ValueError`` where widths do not fit."""
    width, own = teacher.shape[1], student.shape[1]
    if width not in (num_classes, own):
        raise ValueError(
            f"the teacher has {width} logits and the student {own}: all K + V logits can be taught only where both "
            "have the same virtual classes; teach the real ones (--logits real)"
        )
    return student[:, :width]


def check_gamma(gamma: float) -> None:
    """Raise ``ValueError`` unless the divergence's weight is in [0, 1]."""
    if not 0 <= gamma <= 1:
        raise ValueError(
            f"gamma, the weight of the teacher's divergence (the cross entropy has 1 - gamma), must be in [0, 1], "
            f"got {gamma}"
        )
