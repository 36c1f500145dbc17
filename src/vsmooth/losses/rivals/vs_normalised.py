"""Virtual smoothing whose real classes pull as hard as those of one-hot labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.labels import VirtualSmoothing
from vsmooth.losses.cross_entropy import smoothed_cross_entropy
from vsmooth.losses.rivals.base import Rival, check_number


@dataclass(frozen=True)
class NormalisedVirtualSmoothing(Rival):
    """``VS / (1 - alpha)`` over K + V logits, V = K: its cross entropy over the real classes weighs 1, as one-hot's.

    At inference the K real logits are used, as with VS.

    Errors: ValueError for alpha outside [0, 1); a large alpha makes large gradients. Limits: alpha 0 is VS with alpha
    0: cross entropy over K + V logits. Source: a control of this library.
    """

    alpha: float
    word: ClassVar[str] = "vs-normalised"
    title: ClassVar[str] = "VS normalised"
    usual: ClassVar[tuple[float, ...]] = (0.05, 0.1, 0.3, 0.5)
    description: ClassVar[About] = About(
        "VS(ALPHA) / (1 - ALPHA)",
        "control: VS without the smaller step of its real classes",
        "as VS",
        "a control of vsmooth",
    )

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, 0, 1)

    @property
    def virtual_labels(self) -> VirtualSmoothing:
        return VirtualSmoothing(self.alpha)

    def loss(self, logits: Tensor, targets: Tensor, num_classes: int) -> Tensor:
        return smoothed_cross_entropy(logits, targets, self.virtual_labels, num_classes) / (1 - self.alpha)
