"""Focal losses: less weight for samples that are already classified with confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vsmooth.about import About
from vsmooth.losses.rivals.base import Expect, RealRival, check_number

_RARE, _GAMMA_RARE, _GAMMA = 0.2, 5.0, 3.0


@dataclass(frozen=True)
class Focal(RealRival):
    """``-(1 - p_y)^gamma * log p_y`` with p = softmax(z); of probabilities, its mean under them.

    At inference the K logits are used as they are.

    Errors: ValueError for gamma < 0. Limits: gamma 0 is cross entropy.
    Source: Lin et al., "Focal Loss for Dense Object Detection" (ICCV 2017), here over K classes; Mukhoti et al. (2020)
    use it for calibration, with gamma 1 to 3.
    """

    gamma: float
    word: ClassVar[str] = "focal"
    title: ClassVar[str] = "focal"
    usual: ClassVar[tuple[float, ...]] = (1.0, 2.0, 3.0)
    description: ClassVar[About] = About(
        "-(1 - p_y)^GAMMA log p_y",
        "calibration: little weight on samples that are classified with confidence",
        "none",
        "Lin et al. 2017, Mukhoti et al. 2020",
    )

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, 0)

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        log_p = logits.log_softmax(1)
        return -expect(_complement(log_p) ** self.gamma * log_p)


@dataclass(frozen=True)
class Flsd53(RealRival):
    """``-(1 - p_y)^g * log p_y`` with g = 5 where p_y < 0.2 and 3 elsewhere: the sample-dependent focal loss.

    At inference the K logits are used as they are.

    Limits: it equals a focal loss with gamma 5 or 3 where all p_y are on one side of 0.2, where it jumps.
    Source: Mukhoti et al., "Calibrating Deep Neural Networks using Focal Loss" (NeurIPS 2020), FLSD-53.
    """

    word: ClassVar[str] = "flsd-53"
    title: ClassVar[str] = "FLSD-53"
    description: ClassVar[About] = About(
        "-(1 - p_y)^g log p_y, g = 5 where p_y < 0.2, else 3",
        "calibration: a focal loss whose gamma depends on the sample",
        "none",
        "Mukhoti et al. 2020",
    )

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        log_p = logits.log_softmax(1)
        rest = _complement(log_p)
        return -expect(torch.where(log_p.exp() < _RARE, rest**_GAMMA_RARE, rest**_GAMMA) * log_p)


def _complement(log_p: Tensor) -> Tensor:
    """``1 - p`` without cancellation, and never 0, where a power below 1 has an infinite slope."""
    return (-log_p.expm1()).clamp_min(torch.finfo(log_p.dtype).tiny)
