"""Virtual smoothing labels: V virtual classes in training, an ordinary K-way classifier everywhere else."""

from importlib.metadata import version

from vsmooth.head import add_virtual_classes, all_logits, remove_virtual_classes
from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses import (
    SmoothedCrossEntropy,
    VirtualSmoothingLoss,
    smoothed_cross_entropy,
    virtual_smoothing_loss,
)
from vsmooth.shares import NoisyUniform, RandomIntegers, RedrawnShares

__version__ = version("vsmooth")

__all__ = [
    "LabelScheme",
    "LabelSmoothing",
    "NoisyUniform",
    "OneHot",
    "RandomIntegers",
    "RedrawnShares",
    "SmoothedCrossEntropy",
    "VirtualSmoothing",
    "VirtualSmoothingLoss",
    "add_virtual_classes",
    "all_logits",
    "remove_virtual_classes",
    "smoothed_cross_entropy",
    "virtual_smoothing_loss",
]
