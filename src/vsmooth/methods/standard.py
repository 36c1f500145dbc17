"""Standard training: one objective on the images as they are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from vsmooth.data import Batch
from vsmooth.losses import Objective
from vsmooth.methods.base import Loss, Method


@dataclass(frozen=True)
class Standard(Method):
    """``objective(model(x), y)`` over ``num_classes`` real classes, the mean of a batch."""

    objective: Objective
    num_classes: int

    def loss(self, model: nn.Module, crafted: Batch) -> Loss:
        return Loss(self.objective.loss(model(crafted.images), crafted.labels, self.num_classes))
