"""Max suppression: label smoothing that lowers the largest logit in place of the true class's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.losses.rivals.base import Expect, RealRival, check_number, cross_entropy_of


@dataclass(frozen=True)
class MaxSup(RealRival):
    """``CE + alpha * (max_k z_k - mean_k z_k)`` over K logits.

    Label smoothing is ``CE + alpha * (z_y - mean_k z_k)``, which also punishes a wrong prediction for its true class.
    At inference the K logits are used as they are.

    Errors: ValueError for alpha < 0. Limits: alpha 0 is cross entropy; it equals label smoothing where all
    predictions are right.
    Source: Zhou et al., "MaxSup: Overcoming Representation Collapse in Label Smoothing" (2025).
    """

    alpha: float
    word: ClassVar[str] = "max-sup"
    title: ClassVar[str] = "MaxSup"
    usual: ClassVar[tuple[float, ...]] = (0.05, 0.1, 0.2, 0.3)
    description: ClassVar[About] = About(
        "CE + ALPHA (max_k z_k - mean_k z_k)",
        "label smoothing that does not punish the true class of a wrong prediction",
        "none",
        "Zhou et al. 2025",
    )

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, 0)

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        return cross_entropy_of(logits, expect) + self.alpha * (logits.amax(1) - logits.mean(1))
