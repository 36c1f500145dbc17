"""Training with outliers as values of a run's spec."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self, get_args

from vsmooth.bounds import check_count, check_one_of
from vsmooth.experiments.specs.method import MethodSettings
from vsmooth.experiments.specs.outlier_stream import InitialWeights, OutlierStream
from vsmooth.head import LogitSet
from vsmooth.losses import Objective, OutlierTarget
from vsmooth.losses.outlier import check_bounds
from vsmooth.methods import EnergyBound, Method, OutlierExposure, RejectClasses, Teacher
from vsmooth.methods.outlier import PseudoLabel
from vsmooth.methods.outlier.branches import check_weight
from vsmooth.records.objective import ObjectiveRecord

_MOST_CLASSES = 1_000_000
_TARGETS: dict[OutlierTarget, str] = {"vs1": "VS1", "vs2": "VS2", "uniform": "VS0"}


@dataclass(frozen=True)
class OutlierSettings(MethodSettings):
    """What all methods with outliers are told. weight: of the outliers' loss. initial: ``None``: random weights."""

    outliers: OutlierStream = field(default_factory=OutlierStream)
    initial: InitialWeights | None = None
    weight: float = 0.5

    def __post_init__(self) -> None:
        check_weight(self.weight)


@dataclass(frozen=True)
class OutlierExposureSettings(OutlierSettings):
    """See :class:`vsmooth.methods.OutlierExposure`.

    target: of the outliers of a network with virtual classes; without them it is uniform over the real classes, which
    "vs1" then means too.
    """

    kind: ClassVar[str] = "oe"
    target: OutlierTarget = "vs1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("the target of outliers", self.target, get_args(OutlierTarget))

    @property
    def name(self) -> str:
        return "OE"

    def fitted_to(self, objective: Objective) -> Self:
        return self if objective.num_virtual(2) else replace(self, target="vs1")

    def label(self, objective: ObjectiveRecord) -> ObjectiveRecord:
        """Named as in the paper: "VS1 0.05"; VS0 where outliers have no mass on virtual classes."""
        if not objective.num_virtual:
            return objective
        return replace(objective, name=objective.name.replace("VS", _TARGETS[self.target], 1))

    def build(self, objective: Objective, num_classes: int, teacher: Teacher | None) -> Method:
        target = self.target if objective.num_virtual(num_classes) else "uniform"
        return OutlierExposure(objective, num_classes, self.weight, target, objective.parameter or 0.0)


@dataclass(frozen=True)
class RejectClassesSettings(OutlierSettings):
    """See :class:`vsmooth.methods.RejectClasses`. reject: number of reject classes; ``None``: K."""

    kind: ClassVar[str] = "ssl"
    score: ClassVar[str] = "reject-mass"
    reject: int | None = None
    pseudo_label: PseudoLabel = "decision"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("the pseudo-label rule", self.pseudo_label, get_args(PseudoLabel))
        if self.reject is not None:
            why = "each is a row of weights, a logit of every image"
            check_count("the number of reject classes", self.reject, 1, _MOST_CLASSES, why)

    @property
    def name(self) -> str:
        return "SSL"

    def num_reject(self, num_classes: int) -> int:
        return self.reject or num_classes

    def build(self, objective: Objective, num_classes: int, teacher: Teacher | None) -> Method:
        rejects = self.num_reject(num_classes)
        return RejectClasses(objective, num_classes, rejects, self.weight, self.pseudo_label)


@dataclass(frozen=True)
class EnergyBoundSettings(OutlierSettings):
    """See :class:`vsmooth.methods.EnergyBound`."""

    kind: ClassVar[str] = "energy"
    score: ClassVar[str] = "energy-real"
    weight: float = 0.1
    low: float = -23.0
    high: float = -5.0
    energy_logits: LogitSet = "real"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(self.low, self.high)
        check_one_of("the logits of the energy", self.energy_logits, get_args(LogitSet))

    @property
    def name(self) -> str:
        return "Energy"

    def build(self, objective: Objective, num_classes: int, teacher: Teacher | None) -> Method:
        return EnergyBound(objective, num_classes, self.weight, self.low, self.high, self.energy_logits)
