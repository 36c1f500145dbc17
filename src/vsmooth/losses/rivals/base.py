"""What rivals share: text and name from their fields, and a loss of each row of real logits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import fields, replace
from numbers import Real
from typing import Any, ClassVar, Self

from torch import Tensor

from vsmooth.about import About
from vsmooth.labels import OneHot
from vsmooth.losses.closed_form import wide
from vsmooth.losses.objective import Objective, shortest
from vsmooth.losses.rows import IGNORED, as_rows, check_tensors

_LARGEST = 1e6  # far above any number of use; a network diverges long before
Expect = Callable[[Tensor], Tensor]  # values (n, K) -> <y, values> of each row, (n,)


class Rival(Objective):
    """An objective whose fields are the numbers after its word: the first is its parameter.

    word: as it is typed, also the kind in records. title: as tables name it.
    """

    word: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[About]

    @property
    def kind(self) -> str:
        return self.word

    @property
    def text(self) -> str:
        return ":".join((self.word, *map(shortest, self._values)))

    @property
    def name(self) -> str:
        return " ".join((self.title, *(f"{value:g}" for value in self._values)))

    @property
    def about(self) -> About:
        return self.description

    @property
    def parameter(self) -> float | None:
        return float(self._values[0]) if self._values else None

    def with_parameter(self, value: float) -> Self:
        if not self._values:
            return super().with_parameter(value)  # type: ignore[return-value]
        changes: dict[str, Any] = {fields(self)[0].name: value}  # type: ignore[arg-type]
        return replace(self, **changes)  # type: ignore[type-var]

    @property
    def _values(self) -> tuple[float, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]


class RealRival(Rival):
    """A rival that looks at K logits, one row at a time: the mean of :meth:`of_rows` over the rows not ignored."""

    def loss(self, logits: Tensor, targets: Tensor, num_classes: int) -> Tensor:
        check_tensors(logits, targets)
        if logits.ndim == 1:
            return self.loss(logits[None], targets[None], num_classes)
        rows, flat, _ = as_rows(logits, targets, OneHot(), num_classes)
        rows = rows.to(wide(rows.dtype))
        if flat.is_floating_point():
            return self.of_rows(rows, lambda values: (values * flat).sum(1)).mean()
        kept = flat != IGNORED
        true = flat.where(kept, 0).unsqueeze(1)
        losses = self.of_rows(rows, lambda values: values.gather(1, true).squeeze(1))
        return losses.where(kept, 0).sum() / kept.sum()

    @abstractmethod
    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        """(n,) losses of logits (n, K) in float32 or float64; ``expect`` takes the true class's of n x K values."""


def check_number(name: str, value: float, low: float, high: float = _LARGEST, *, above: bool = False) -> None:
    """``ValueError`` unless ``low <= value < high``; ``above``: unless ``low < value < high``."""
    known = isinstance(value, int | float | Real) and not isinstance(value, bool)
    if not known or not low <= value < high or (above and value == low):
        raise ValueError(f"{name} must be a number in {'(' if above else '['}{low:g}, {high:g}), got {value!r}")


def cross_entropy_of(logits: Tensor, expect: Expect) -> Tensor:
    """``logsumexp(z) - <y, z>`` of each row."""
    return -expect(logits.log_softmax(1))
