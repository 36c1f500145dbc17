"""Numbers with a range, for the fields of records: the range is checked when a file is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

MOST_CLASSES = 1_000_000
LARGEST_SIDE = 2**16  # pixels of an image, and channels
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Range:
    """Both ends belong to it, up to rounding. known: NaN, which stands for a number that is not known, is outside."""

    low: float = -math.inf
    high: float = math.inf
    known: bool = False

    def check(self, value: float) -> None:
        """ValueError unless `value` is inside."""
        if value < self.low - _ROUNDING or value > self.high + _ROUNDING or (self.known and math.isnan(value)):
            raise ValueError(f"expected a number{self}, got {'null' if math.isnan(value) else value}")

    def __str__(self) -> str:
        if self.high < math.inf:
            return f" from {self.low:g} to {self.high:,g}"
        return f" of at least {self.low:g}" if self.low > -math.inf else ""


@dataclass(frozen=True, eq=False)
class NamedRanges:
    """Ranges of some of the numbers that a mapping may hold; those of other names have none."""

    by_name: Mapping[str, Range]

    def check(self, values: Mapping[str, float]) -> None:
        """ValueError names the first number that is outside its range."""
        for name, value in values.items():
            try:
                self.by_name.get(name, _ANY).check(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None


_ANY, _SHARE, _NOT_NEGATIVE, CORRELATION = Range(), Range(0, 1), Range(0), Range(-1, 1)
_SHARES = (
    "accuracy", "top5", "ece", "ece_10", "ece_15", "debiased_ece", "adaptive_ece", "classwise_ece", "ece_over",
    "ece_under", "mean_confidence", "reliability", "resolution", "uncertainty", "teacher_accuracy", "teacher_agreement",
)  # fmt: skip
METRIC_RANGES = NamedRanges({
    **dict.fromkeys(_SHARES, _SHARE),
    "overconfidence": CORRELATION,
    "brier": Range(0, 2),
    "nll": _NOT_NEGATIVE,
    "teacher_divergence": _NOT_NEGATIVE,
    "samples": Range(1, known=True),
})
SIMILARITY_RANGES = NamedRanges({
    **dict.fromkeys(("human_image_rank", "human_pair_rank", "human_template_rank"), CORRELATION),
    "human_kl": _NOT_NEGATIVE,
})

Count = Annotated[int, Range(0)]
Positive = Annotated[int, Range(1)]
NumClasses = Annotated[int, Range(1, MOST_CLASSES)]
Side = Annotated[int, Range(1, LARGEST_SIDE)]
NumVirtual = Annotated[int, Range(0, MOST_CLASSES)]
Share = Annotated[float, _SHARE]
NotNegative = Annotated[float, _NOT_NEGATIVE]
Correlation = Annotated[float, CORRELATION]
Known = Annotated[float, Range(known=True)]
KnownNotNegative = Annotated[float, Range(0, known=True)]
Metrics = Annotated[dict[str, float], METRIC_RANGES]
