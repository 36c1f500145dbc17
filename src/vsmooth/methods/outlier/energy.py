"""Energy-bounded training: images of the classes get low energies, outliers high ones."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from vsmooth.data import Batch
from vsmooth.head import LogitSet
from vsmooth.losses import Objective, energy_bounds
from vsmooth.losses.outlier import check_bounds
from vsmooth.methods.base import Loss, Method
from vsmooth.methods.outlier.branches import both_logits, check_weight


@dataclass(frozen=True)
class EnergyBound(Method):
    """``objective(images of the classes) + weight * (mean max(0, E_in - low)^2 + mean max(0, high - E_out)^2)``.

    E = -logsumexp of the K real logits, or of "all" K + V. Loss parts, unweighted: "in" (the objective), "above" and
    "below" (the two bounds).

    Source: Liu et al. (NeurIPS 2020), Eq. 8, and their weight .1 and bounds -23 and -5 for CIFAR-10.
    """

    objective: Objective
    num_classes: int
    weight: float = 0.1
    low: float = -23.0
    high: float = -5.0
    logits: LogitSet = "real"

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_bounds(self.low, self.high)

    def loss(self, model: nn.Module, crafted: Batch) -> Loss:
        inside, outside = both_logits(model, crafted)
        own = self.objective.loss(inside, crafted.labels, self.num_classes)
        used = slice(self.num_classes if self.logits == "real" else None)
        above, below = energy_bounds(inside[:, used], outside[:, used], self.low, self.high)
        parts = {"in": own.detach(), "above": above.detach(), "below": below.detach()}
        return Loss(own + self.weight * (above + below), parts)
