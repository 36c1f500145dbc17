"""The z-loss: a penalty on the logsumexp of the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.losses.rivals.base import Expect, RealRival, check_number, cross_entropy_of


@dataclass(frozen=True)
class ZLoss(RealRival):
    """``CE + beta * logsumexp(z)^2``: it draws the logsumexp of every sample towards 0.

    At inference the K logits are used as they are.

    Errors: ValueError for beta < 0. Limits: beta 0 is cross entropy.
    Source: PaLM (Chowdhery et al. 2022, Sec. 5), with beta 1e-4 for a language model.
    """

    beta: float
    word: ClassVar[str] = "z-loss"
    title: ClassVar[str] = "z-loss"
    usual: ClassVar[tuple[float, ...]] = (0.0001, 0.001, 0.01, 0.1)
    description: ClassVar[About] = About(
        "CE + BETA (logsumexp z)^2", "pins the logsumexp of the logits at 0", "none", "PaLM, Chowdhery et al. 2022"
    )

    def __post_init__(self) -> None:
        check_number("beta", self.beta, 0)

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        return cross_entropy_of(logits, expect) + self.beta * logits.logsumexp(1).square()
