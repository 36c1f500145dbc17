"""Losses: cross entropy against smoothed labels."""

from vsmooth.losses.cross_entropy import (
    Reduction,
    SmoothedCrossEntropy,
    VirtualSmoothingLoss,
    smoothed_cross_entropy,
    virtual_smoothing_loss,
)

__all__ = [
    "Reduction",
    "SmoothedCrossEntropy",
    "VirtualSmoothingLoss",
    "smoothed_cross_entropy",
    "virtual_smoothing_loss",
]
