"""Training methods."""

from vsmooth.methods.base import Loss, Method
from vsmooth.methods.distill import Distill
from vsmooth.methods.standard import Standard
from vsmooth.methods.teacher import NetworkTeacher, SavedTeacher, TaughtLogits, Teacher

__all__ = ["Distill", "Loss", "Method", "NetworkTeacher", "SavedTeacher", "Standard", "TaughtLogits", "Teacher"]
