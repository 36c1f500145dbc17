"""Objectives beside the three labels, one file each: controls of virtual smoothing, and rivals from the literature."""

from vsmooth.losses.rivals.confidence_penalty import ConfidencePenalty
from vsmooth.losses.rivals.dummy import DummyClasses
from vsmooth.losses.rivals.focal import Flsd53, Focal
from vsmooth.losses.rivals.logit_norm import LogitNorm
from vsmooth.losses.rivals.margin_smoothing import MarginSmoothing
from vsmooth.losses.rivals.max_sup import MaxSup
from vsmooth.losses.rivals.poly import Poly
from vsmooth.losses.rivals.scaled import ScaledCrossEntropy
from vsmooth.losses.rivals.vs_collapsed import CollapsedVirtualSmoothing
from vsmooth.losses.rivals.vs_frozen import FrozenVirtualSmoothing
from vsmooth.losses.rivals.vs_normalised import NormalisedVirtualSmoothing
from vsmooth.losses.rivals.z_loss import ZLoss

__all__ = [
    "CollapsedVirtualSmoothing",
    "ConfidencePenalty",
    "DummyClasses",
    "Flsd53",
    "Focal",
    "FrozenVirtualSmoothing",
    "LogitNorm",
    "MarginSmoothing",
    "MaxSup",
    "NormalisedVirtualSmoothing",
    "Poly",
    "ScaledCrossEntropy",
    "ZLoss",
]
