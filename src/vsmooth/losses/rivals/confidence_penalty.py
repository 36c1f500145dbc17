"""The confidence penalty: a reward for the entropy of the predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.losses.rivals.base import Expect, RealRival, check_number


@dataclass(frozen=True)
class ConfidencePenalty(RealRival):
    """``CE - beta * H(p)`` with p = softmax(z) and the entropy ``H(p) = -sum_k p_k log p_k`` in nats.

    Up to a constant it is CE + beta * KL(p || uniform); label smoothing has the other direction of KL.
    At inference the K logits are used as they are.

    Errors: ValueError for beta < 0. Limits: beta 0 is cross entropy.
    Source: Pereyra et al., "Regularizing Neural Networks by Penalizing Confident Output Distributions" (2017).
    """

    beta: float
    word: ClassVar[str] = "confidence-penalty"
    title: ClassVar[str] = "confidence penalty"
    usual: ClassVar[tuple[float, ...]] = (0.1, 0.3, 1.0, 2.0)
    description: ClassVar[About] = About(
        "CE - BETA H(p), H the entropy", "less confidence: rewards entropy", "none", "Pereyra et al. 2017"
    )

    def __post_init__(self) -> None:
        check_number("beta", self.beta, 0)

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        log_p = logits.log_softmax(1)
        return -expect(log_p) + self.beta * (log_p.exp() * log_p).sum(1)
