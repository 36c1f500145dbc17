"""Outlier exposure: outliers are trained towards a label that names no class."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from vsmooth.data import Batch
from vsmooth.losses import Objective, OutlierTarget, outlier_exposure
from vsmooth.methods.base import Loss, Method
from vsmooth.methods.outlier.branches import both_logits, check_weight


@dataclass(frozen=True)
class OutlierExposure(Method):
    """``objective(images of the classes) + weight * CE(outliers, target)``, each a mean over its own images.

    target: see :func:`vsmooth.losses.outlier_exposure`; alpha: that of "vs1". A mean over both kinds together would
    weigh each by how many of a batch are of its kind. Loss parts, unweighted: "in" and "out".

    Limits: weight 0 is the objective alone, but for BatchNorm, which sees the outliers too.
    Source: Hendrycks et al. (ICLR 2019), weight .5; the targets: the paper, Sec. 4.3.
    """

    objective: Objective
    num_classes: int
    weight: float = 0.5
    target: OutlierTarget = "uniform"
    alpha: float = 0.0

    def __post_init__(self) -> None:
        check_weight(self.weight)

    def loss(self, model: nn.Module, crafted: Batch) -> Loss:
        inside, outside = both_logits(model, crafted)
        own = self.objective.loss(inside, crafted.labels, self.num_classes)
        exposed = outlier_exposure(outside, self.num_classes, self.target, self.alpha)
        return Loss.of({"in": (1, own), "out": (self.weight, exposed)})
