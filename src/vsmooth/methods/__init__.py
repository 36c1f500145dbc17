"""Training methods and step rules."""

from vsmooth.methods.adversarial import (
    AdversarialMethod,
    AdversarialTraining,
    Crafting,
    Mart,
    RobustDistillation,
    Trades,
    Watch,
)
from vsmooth.methods.awp import WeightPerturbation
from vsmooth.methods.base import Loss, Method
from vsmooth.methods.distill import Distill
from vsmooth.methods.outlier import EnergyBound, OutlierExposure, RejectClasses
from vsmooth.methods.standard import Standard
from vsmooth.methods.step import Plain, StepRule
from vsmooth.methods.teacher import NetworkTeacher, SavedTeacher, Teacher

__all__ = [
    "AdversarialMethod",
    "AdversarialTraining",
    "Crafting",
    "Distill",
    "EnergyBound",
    "Loss",
    "Mart",
    "Method",
    "NetworkTeacher",
    "OutlierExposure",
    "Plain",
    "RejectClasses",
    "RobustDistillation",
    "SavedTeacher",
    "Standard",
    "StepRule",
    "Teacher",
    "Trades",
    "Watch",
    "WeightPerturbation",
]
