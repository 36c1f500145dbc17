"""Losses: cross entropy against smoothed labels, objectives, divergence from other logits, margins for an attacker."""

from vsmooth.losses.catalogue import CATALOGUE, FORMS, Candidates, form_of, parse_candidates, parse_objective
from vsmooth.losses.criterion import SmoothedCrossEntropy, VirtualSmoothingLoss
from vsmooth.losses.cross_entropy import Reduction, smoothed_cross_entropy, virtual_smoothing_loss
from vsmooth.losses.divergence import Divergence, DivergenceKind, decoupled_divergence, kl_divergence, standardise
from vsmooth.losses.margin import dlr, margin, targeted_dlr, targeted_margin
from vsmooth.losses.objective import LabelObjective, Objective
from vsmooth.losses.outlier import OutlierTarget, energy_bounds, outlier_exposure

__all__ = [
    "CATALOGUE",
    "FORMS",
    "Candidates",
    "Divergence",
    "DivergenceKind",
    "LabelObjective",
    "Objective",
    "OutlierTarget",
    "Reduction",
    "SmoothedCrossEntropy",
    "VirtualSmoothingLoss",
    "decoupled_divergence",
    "dlr",
    "energy_bounds",
    "form_of",
    "kl_divergence",
    "margin",
    "outlier_exposure",
    "parse_candidates",
    "parse_objective",
    "smoothed_cross_entropy",
    "standardise",
    "targeted_dlr",
    "targeted_margin",
    "virtual_smoothing_loss",
]
