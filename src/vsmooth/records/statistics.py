"""Means, paired differences, their confidence intervals and p-values: pure functions over floats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Source = Literal["seeds", "test samples"]
SIGNIFICANCE = 0.05  # largest share of false verdicts where there is no difference


@dataclass(frozen=True)
class MeanStd:
    """Mean and sample standard deviation (ddof 1); `std` is None for a single value."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Variation:
    """One source of variation of a difference: `(centre - truth) / error` follows Student's t; inf degrees: normal."""

    centre: float
    error: float
    degrees: float = math.inf

    def bounds(self, confidence: float) -> tuple[float, float]:
        """`centre -+ t_{(1 + confidence) / 2, degrees} * error`; ValueError for a confidence outside (0, 1)."""
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
        half = _student_quantile((1 + confidence) / 2, self.degrees) * self.error
        return self.centre - half, self.centre + half

    def p_value(self, null: float) -> float:
        """Two-sided p-value of the hypothesis that the truth is `null`."""
        if self.error == 0:
            return 1.0 if self.centre == null else 0.0
        return 2 * _student_tail(abs(self.centre - null) / self.error, self.degrees)


@dataclass(frozen=True)
class PairedDifference:
    """Mean of `value - baseline` over shared seeds, and what it varies with: the seeds, the test images, or both.

    The interval is the hull of those of all variations, so it excludes a value only if each of them does. Differences
    that are the same in every seed say nothing of the spread: an interval of width 0 is none. `adjusted_p` is the
    p-value corrected for the `comparisons` of its table (None: not corrected).
    """

    mean: float
    variations: tuple[Variation, ...]
    seeds: int
    confidence: float = 0.95
    adjusted_p: float | None = None
    comparisons: int = 1

    @property
    def source(self) -> Source:
        """What the interval speaks of: other seeds, or of one pair of networks only other test samples."""
        return "seeds" if self.seeds > 1 else "test samples"

    @property
    def low(self) -> float | None:
        return None if self._hull is None else self._hull[0]

    @property
    def high(self) -> float | None:
        return None if self._hull is None else self._hull[1]

    @property
    def distinguishable(self) -> bool:
        """Whether there is a difference at 5 %, corrected for the comparisons of its table if it was."""
        return (self.p_value() if self.adjusted_p is None else self.adjusted_p) <= SIGNIFICANCE

    def p_value(self, null: float = 0.0) -> float:
        """Two-sided and uncorrected, the largest over the variations; 1 without an interval."""
        return 1.0 if self._hull is None else max(variation.p_value(null) for variation in self.variations)

    @property
    def _hull(self) -> tuple[float, float] | None:
        if not self.variations:
            return None
        lows, highs = zip(*(variation.bounds(self.confidence) for variation in self.variations), strict=True)
        return (min(lows), max(highs)) if min(lows) < max(highs) else None


def mean_std(values: Sequence[float]) -> MeanStd:
    """Mean and sample standard deviation, `sqrt(sum (x - mean)^2 / (n - 1))`.

    ValueError if `values` is empty.
    """
    if not values:
        raise ValueError("mean_std needs at least one value, got none")
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return MeanStd(mean, None)
    return MeanStd(mean, math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1)))


def paired_difference(
    values: Sequence[float], baseline: Sequence[float], confidence: float = 0.95
) -> PairedDifference:
    """Mean of the per-seed differences with its Student t interval.

    `mean(d) +- t_{(1+confidence)/2, n-1} * std(d) / sqrt(n)`, `d_i = values_i - baseline_i`, where
    position i of both sequences holds the same seed. One pair, or equal differences, give a mean without an interval.
    The interval speaks of other seeds on the same test images. ValueError for different lengths, no pairs, or a
    confidence outside (0, 1).
    """
    if len(values) != len(baseline):
        raise ValueError(f"paired values need equal lengths, got {len(values)} and {len(baseline)}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    difference = mean_std([x - y for x, y in zip(values, baseline, strict=True)])
    n = len(values)
    if difference.std is None:
        return PairedDifference(difference.mean, (), n, confidence)
    seeds = Variation(difference.mean, difference.std / math.sqrt(n), n - 1)
    return PairedDifference(difference.mean, (seeds,), n, confidence)


def variation_of_mean(values: npt.ArrayLike) -> Variation:
    """Of the mean of values (N,), one a test image: its standard error is `std / sqrt(N)`, ddof 1, normal for large N.

    ValueError for fewer than two values.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or len(found) < 2:
        raise ValueError(f"the variation of a mean needs two values or more, got shape {found.shape}")
    return Variation(float(found.mean()), float(found.std(ddof=1)) / math.sqrt(len(found)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: those at most x are right of all with probability 1 - x or more, whatever their dependence.

    In rising order `max_{j <= i} min(1, (m - j + 1) p_j)`. Source: Holm (1979).
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _student_quantile(share: float, degrees: float) -> float:
    from scipy.special import ndtri, stdtrit  # slow to import; scipy.stats.t is also slow to call

    return float(ndtri(share) if math.isinf(degrees) else stdtrit(degrees, share))


def _student_tail(value: float, degrees: float) -> float:
    from scipy.special import ndtr, stdtr

    return float(ndtr(-value) if math.isinf(degrees) else stdtr(degrees, -value))
