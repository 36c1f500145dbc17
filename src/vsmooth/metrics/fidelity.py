"""How closely a student agrees with its teacher, which is not the same as its accuracy."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vsmooth.losses import kl_divergence


@dataclass(frozen=True)
class Fidelity:
    """agreement: share of samples where both predict the same class. divergence: mean KL(teacher || student), nats."""

    agreement: float
    divergence: float


def fidelity(teacher: Tensor, student: Tensor) -> Fidelity:
    """Both measures of logits (N, K) on the same samples, in float64, at temperature 1.

    ValueError for shapes that differ. Logits that differ by a constant: agreement 1, divergence 0. A tie goes to the
    lowest class. Source: Stanton et al., "Does Knowledge Distillation Really Work?" (2021), Sec. 3.2.
    """
    divergence = kl_divergence(teacher.double(), student.double())
    agreement = (teacher.argmax(1) == student.argmax(1)).double().mean()
    return Fidelity(float(agreement), float(divergence))
