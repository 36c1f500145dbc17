"""Virtual smoothing with one virtual logit that stands for V equal ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.labels import VirtualSmoothing
from vsmooth.losses.cross_entropy import smoothed_cross_entropy
from vsmooth.losses.objective import shortest
from vsmooth.losses.rivals.base import Rival


@dataclass(frozen=True)
class CollapsedVirtualSmoothing(Rival):
    """VS over K + 1 logits, the last of which is that of one row plus log V: where V rows agree, they are this one.

    ``-(1 - alpha) * log p_y - alpha * log p_virtual``: less by the constant alpha log V than VS with V equal rows.
    Under SGD the row moves V times as fast as each of V rows would, since their gradients add up. At inference the K
    real logits are used, as with VS.

    Errors: ValueError as VirtualSmoothing. Limits: V = 1 is VS with one virtual class. Source: a control of this
    library; learned virtual rows were seen to agree.
    """

    alpha: float
    count: int | None = None
    word: ClassVar[str] = "vs-collapsed"
    title: ClassVar[str] = "VS collapsed"
    usual: ClassVar[tuple[float, ...]] = (0.05, 0.1, 0.3, 0.5)
    description: ClassVar[About] = About(
        "VS(ALPHA) of V equal virtual logits, as one logit + log V",
        "VS for many classes; control: whether V rows learn more than one",
        "one more row of the classifier, in training alone (V = K unless given)",
        "a control of vsmooth",
    )

    def __post_init__(self) -> None:
        VirtualSmoothing(self.alpha, self.count)

    @property
    def text(self) -> str:
        text = f"{self.word}:{shortest(self.alpha)}"
        return text if self.count is None else f"{text}:{self.count}"

    @property
    def name(self) -> str:
        """V is added where it is known, as with VS."""
        return f"{self.title} {self.alpha:g}"

    @property
    def virtual_labels(self) -> VirtualSmoothing:
        return VirtualSmoothing(self.alpha, self.count, collapsed=True)

    def loss(self, logits: Tensor, targets: Tensor, num_classes: int) -> Tensor:
        return smoothed_cross_entropy(logits, targets, self.virtual_labels, num_classes)
