"""Standard training as a value of a run's spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vsmooth.experiments.specs.method import MethodSettings
from vsmooth.losses import Objective
from vsmooth.methods import Method, Standard, Teacher


@dataclass(frozen=True)
class StandardTraining(MethodSettings):
    """The objective on the images as they are; see :class:`vsmooth.methods.Standard`."""

    kind: ClassVar[str] = "standard"

    def build(self, objective: Objective, num_classes: int, teacher: Teacher | None) -> Method:
        return Standard(objective, num_classes)
