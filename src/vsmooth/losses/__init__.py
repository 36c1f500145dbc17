"""Losses: cross entropy against smoothed labels, divergence from other logits."""

from vsmooth.losses.cross_entropy import (
    Reduction,
    SmoothedCrossEntropy,
    VirtualSmoothingLoss,
    smoothed_cross_entropy,
    virtual_smoothing_loss,
)
from vsmooth.losses.divergence import Divergence, DivergenceKind, decoupled_divergence, kl_divergence, standardise

__all__ = [
    "Divergence",
    "DivergenceKind",
    "Reduction",
    "SmoothedCrossEntropy",
    "VirtualSmoothingLoss",
    "decoupled_divergence",
    "kl_divergence",
    "smoothed_cross_entropy",
    "standardise",
    "virtual_smoothing_loss",
]
