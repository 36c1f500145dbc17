"""Numbers with a range, for the fields of records: the range is checked when a file is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

MOST_CLASSES = 1_000_000
LARGEST_SIDE = 2**16  # pixels of an image, and channels


@dataclass(frozen=True)
class Range:
    """Both ends belong to it."""

    low: float = -math.inf
    high: float = math.inf

    def check(self, value: float) -> None:
        """ValueError unless `value` is inside; NaN is, since it stands for a number that is not known."""
        if value < self.low or value > self.high:
            raise ValueError(f"expected a number {self}, got {value!r}")

    def __str__(self) -> str:
        return f"of at least {self.low:g}" if self.high == math.inf else f"from {self.low:g} to {self.high:,g}"


Count = Annotated[int, Range(0)]
Positive = Annotated[int, Range(1)]
NumClasses = Annotated[int, Range(1, MOST_CLASSES)]
Side = Annotated[int, Range(1, LARGEST_SIDE)]
NumVirtual = Annotated[int, Range(0, MOST_CLASSES)]
Share = Annotated[float, Range(0, 1)]
NotNegative = Annotated[float, Range(0)]
