"""Methods that train with outliers: images of none of the classes, the second part of each batch."""

from vsmooth.methods.outlier.energy import EnergyBound
from vsmooth.methods.outlier.exposure import OutlierExposure
from vsmooth.methods.outlier.reject import PseudoLabel, RejectClasses

__all__ = ["EnergyBound", "OutlierExposure", "PseudoLabel", "RejectClasses"]
