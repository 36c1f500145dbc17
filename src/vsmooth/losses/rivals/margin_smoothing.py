"""Margin-based label smoothing: only distances of logits beyond a margin are penalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.losses.rivals.base import Expect, RealRival, check_number, cross_entropy_of


@dataclass(frozen=True)
class MarginSmoothing(RealRival):
    """``CE + weight * mean_k max(0, max_j z_j - z_k - margin)`` over K logits.

    The paper's formula has the sum over k; this is the mean, as in the authors' code, which its weight of 0.1 is for.
    At inference the K logits are used as they are.

    Errors: ValueError for margin or weight < 0. Limits: weight 0 and a large margin are cross entropy; margin 0 is
    MaxSup with alpha = weight.
    Source: Liu et al., "The Devil is in the Margin" (CVPR 2022).
    """

    margin: float
    weight: float = 0.1
    word: ClassVar[str] = "mbls"
    title: ClassVar[str] = "MbLS"
    usual: ClassVar[tuple[float, ...]] = (2.0, 6.0, 10.0, 15.0)
    description: ClassVar[About] = About(
        "CE + WEIGHT mean_k max(0, max_j z_j - z_k - M)",
        "label smoothing that acts only on logits further apart than M (WEIGHT 0.1 unless given)",
        "none",
        "Liu et al. 2022",
    )

    def __post_init__(self) -> None:
        check_number("margin M", self.margin, 0)
        check_number("weight", self.weight, 0)

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        distances = logits.amax(1, keepdim=True) - logits
        return cross_entropy_of(logits, expect) + self.weight * (distances - self.margin).clamp_min(0).mean(1)
