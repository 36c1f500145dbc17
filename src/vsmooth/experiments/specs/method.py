"""Base class of the settings of a training method: a frozen value that builds the method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vsmooth.experiments.specs.outlier_stream import InitialWeights, OutlierStream
from vsmooth.losses import Objective
from vsmooth.methods import Method, Teacher

if TYPE_CHECKING:
    from vsmooth.data import Mixing
    from vsmooth.records.objective import ObjectiveRecord


class MethodSettings(ABC):
    """The settings of a training method as a part of a run's spec: each method's are a frozen dataclass.

    kind: which method it is, in records. teacher: fingerprint of the teacher that it needs, "" for none. views: of each
    image so many views that come again and again; ``None``: fresh ones. outliers: the second part of each batch.
    initial: weights to start from; ``None``: random ones. score: of outliers, which the method is made for.
    """

    kind: ClassVar[str]
    teacher: str = ""
    views: int | None = None
    outliers: OutlierStream | None = None
    initial: InitialWeights | None = None
    score: ClassVar[str] = "msp-all"
    needs_whole_weights: ClassVar[bool] = False  # so that weights cannot be sharded over processes

    @property
    def name(self) -> str:
        """Short, with the setting that matters most: "TRADES 6"; "" for standard training."""
        return ""

    @property
    def selected_by(self) -> str | None:
        """The validation metric whose best epoch is kept beside the last one; ``None``: the last alone."""
        return None

    @property
    def patience(self) -> int | None:
        """The training ends after this many epochs without a better :attr:`selected_by`; ``None``: never early."""
        return None

    def doubt(self) -> str | None:
        """Why these settings may not be what was meant, for the user to read; ``None`` without a reason."""
        return None

    def untaught(self) -> MethodSettings | None:
        """What a taught student is compared with: the method without its teacher; ``None``: standard training."""
        return None

    def fitted_to(self, objective: Objective) -> Self:
        """The same method without settings that this objective gives no meaning to, so that one run has one spec."""
        return self

    def label(self, objective: ObjectiveRecord) -> ObjectiveRecord:
        """The objective as the records of this method name it."""
        return objective

    def num_reject(self, num_classes: int) -> int:
        """R: reject classes between the real and the virtual ones; none."""
        return 0

    def check_fits(self, mixing: Mixing) -> None:
        """Raise ``ValueError`` for mixed images that the method cannot take; any will do unless it says otherwise."""
        return

    @abstractmethod
    def build(self, objective: Objective, num_classes: int, teacher: Teacher | None) -> Method:
        """The method for K real classes; ``teacher`` is the one whose fingerprint ``teacher`` is, on its device."""


def differing(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not at their defaults, by name."""
    values = ((field, getattr(value, field.name)) for field in fields(value))
    return {field.name: own for field, own in values if own != _default(field)}


def describe(value: Any) -> str:
    """The settings that are not at their defaults, in words: "gamma 0.5, tau 4".

    The teacher and the target of outliers have places of their own; a nested value may have its own ``words``.
    """
    words = []
    for name, own in differing(value).items():
        if name in ("teacher", "target"):
            continue
        nested = is_dataclass(own) and not isinstance(own, type)
        words.append(getattr(own, "words", describe(own)) if nested else f"{name.replace('_', ' ')} {own}")
    return ", ".join(filter(None, words))


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
