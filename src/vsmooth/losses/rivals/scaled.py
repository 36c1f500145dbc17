"""Cross entropy with a smaller weight: what of virtual smoothing is no more than a smaller step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.losses.rivals.base import Expect, RealRival, check_number, cross_entropy_of


@dataclass(frozen=True)
class ScaledCrossEntropy(RealRival):
    """``(1 - alpha) * CE``: the part of the virtual smoothing loss that looks at the real classes alone.

    With g = logsumexp(z_real) - logsumexp(z_virtual), VS = (1 - alpha) CE_K + BCE(sigmoid(g), 1 - alpha) + alpha *
    CE(uniform, softmax(z_virtual)); this control keeps the first term. Under SGD it is a learning rate of 1 - alpha
    and a weight decay of 1 / (1 - alpha) times the usual one; under Adam it is cross entropy but for epsilon.
    At inference the K logits are used as they are.

    Errors: ValueError for alpha outside [0, 1). Limits: alpha 0 is cross entropy.
    Source: a control of this library.
    """

    alpha: float
    word: ClassVar[str] = "scaled"
    title: ClassVar[str] = "scaled"
    usual: ClassVar[tuple[float, ...]] = (0.1, 0.3, 0.5, 0.9)
    description: ClassVar[About] = About(
        "(1 - ALPHA) CE", "control: the smaller step of VS without its virtual classes", "none", "a control of vsmooth"
    )

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, 0, 1)

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        return (1 - self.alpha) * cross_entropy_of(logits, expect)
