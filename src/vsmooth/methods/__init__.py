"""Training methods and step rules."""

from vsmooth.methods.base import Loss, Method
from vsmooth.methods.distill import Distill
from vsmooth.methods.standard import Standard
from vsmooth.methods.step import Plain, StepRule
from vsmooth.methods.teacher import NetworkTeacher, SavedTeacher, Teacher

__all__ = [
    "Distill",
    "Loss",
    "Method",
    "NetworkTeacher",
    "Plain",
    "SavedTeacher",
    "Standard",
    "StepRule",
    "Teacher",
]
