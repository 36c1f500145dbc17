"""Standard training: cross entropy against one label scheme."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from vsmooth.data import Batch
from vsmooth.labels import LabelScheme
from vsmooth.losses import smoothed_cross_entropy
from vsmooth.methods.base import Loss, Method


@dataclass(frozen=True)
class Standard(Method):
    """``mean_i CE(model(x_i), label_i)`` with the labels of ``scheme`` over ``num_classes`` real classes."""

    scheme: LabelScheme
    num_classes: int

    def loss(self, model: nn.Module, crafted: Batch) -> Loss:
        logits = model(crafted.images)
        return Loss(smoothed_cross_entropy(logits, crafted.labels, self.scheme, self.num_classes))
