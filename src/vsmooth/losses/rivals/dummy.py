"""Dummy classes: virtual classes that no label gives anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vsmooth.about import About
from vsmooth.labels import VirtualSmoothing
from vsmooth.losses.cross_entropy import smoothed_cross_entropy
from vsmooth.losses.rivals.base import Rival


@dataclass(frozen=True)
class DummyClasses(Rival):
    """Cross entropy over K + V logits with one-hot labels: ``-log softmax(z)_y``; V dummy classes are never right.

    At inference the K real logits are used, as with VS.

    Errors: ValueError for V < 1 and more than a million. Limits: it equals VS with alpha 0.
    Source: DuRM, arXiv 2308.02287 (2023).
    """

    count: int
    word: ClassVar[str] = "dummy"
    title: ClassVar[str] = "dummy"
    usual: ClassVar[tuple[float, ...]] = (1, 2, 5, 10)
    description: ClassVar[About] = About(
        "-log p_y, p over K + V",
        "control: V more classes without any confidence",
        "V more rows of the classifier, in training alone",
        "DuRM, arXiv 2308.02287",
    )

    def __post_init__(self) -> None:
        VirtualSmoothing(0.0, self.count)

    def with_parameter(self, value: float) -> DummyClasses:
        return DummyClasses(int(value))

    def name_for(self, num_classes: int) -> str:
        return self.name  # V is in it

    @property
    def virtual_labels(self) -> VirtualSmoothing:
        return VirtualSmoothing(0.0, self.count)

    def loss(self, logits: Tensor, targets: Tensor, num_classes: int) -> Tensor:
        return smoothed_cross_entropy(logits, targets, self.virtual_labels, num_classes)
