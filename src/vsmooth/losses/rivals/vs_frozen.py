"""Virtual smoothing with virtual logits that are always 0: a pin on the scale of the real ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vsmooth.about import About
from vsmooth.losses.rivals.base import Expect, RealRival, check_number


@dataclass(frozen=True)
class FrozenVirtualSmoothing(RealRival):
    """VS where all V = K virtual logits are 0: ``log(exp(logsumexp(z)) + V) - (1 - alpha) * <y, z>`` over K logits.

    Its optimum has a logsumexp of the real logits of log(V (1 - alpha) / alpha), whatever the sample. The network has
    no virtual classes. At inference the K logits are used as they are.

    Errors: ValueError for alpha outside [0, 1). Limits: it equals VS on logits with V zeros after them; alpha 0 is
    cross entropy over those. Source: a control of this library.
    """

    alpha: float
    word: ClassVar[str] = "vs-frozen"
    title: ClassVar[str] = "VS frozen"
    usual: ClassVar[tuple[float, ...]] = (0.05, 0.1, 0.3, 0.5)
    description: ClassVar[About] = About(
        "log(exp(logsumexp z) + K) - (1 - ALPHA) z_y",
        "control: VS with virtual logits fixed at 0, which pins the logsumexp of the real ones",
        "none",
        "a control of vsmooth",
    )

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, 0, 1)

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        real = logits.logsumexp(1)
        virtual = real.new_full((), math.log(logits.shape[1]))
        return torch.logaddexp(real, virtual) - (1 - self.alpha) * expect(logits)
