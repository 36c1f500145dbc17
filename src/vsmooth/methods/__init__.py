"""Training methods."""

from vsmooth.methods.base import Loss, Method
from vsmooth.methods.standard import Standard

__all__ = ["Loss", "Method", "Standard"]
