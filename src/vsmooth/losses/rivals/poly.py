"""Poly-1: cross entropy with another first coefficient of its polynomial in 1 - p."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.losses.rivals.base import Expect, RealRival, check_number


@dataclass(frozen=True)
class Poly(RealRival):
    """``CE + eps * (1 - p_y)`` with p = softmax(z): cross entropy is ``sum_j (1 - p_y)^j / j``.

    At inference the K logits are used as they are.

    Errors: ValueError for eps < -1, where the first coefficient would be negative. Limits: eps 0 is cross entropy.
    Source: Leng et al., "PolyLoss" (ICLR 2022), Poly-1.
    """

    eps: float
    word: ClassVar[str] = "poly"
    title: ClassVar[str] = "Poly"
    usual: ClassVar[tuple[float, ...]] = (-0.5, 1.0, 2.0, 4.0)
    description: ClassVar[About] = About(
        "CE + EPS (1 - p_y)",
        "accuracy: more (or, below 0, less) weight on the first term of cross entropy",
        "none",
        "Leng et al. 2022",
    )

    def __post_init__(self) -> None:
        check_number("eps", self.eps, -1)

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        log_p = logits.log_softmax(1)
        return self.eps - expect(log_p + self.eps * log_p.exp())
