"""Means, paired differences and their confidence intervals: pure functions over floats."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Source = Literal["seeds", "test samples"]


@dataclass(frozen=True)
class MeanStd:
    """Mean and sample standard deviation (ddof 1); `std` is None for a single value."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class PairedDifference:
    """Mean of `value - baseline` and its confidence interval.

    `low` and `high` are None where no interval exists (fewer than two seeds). `source` says what varies:
    "seeds" (Student t over runs that share a seed) or "test samples" (bootstrap within one run).
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int
    source: Source = "seeds"

    @property
    def distinguishable(self) -> bool:
        """Whether the interval exists and excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


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
    position i of both sequences holds the same seed. One pair gives a mean without an interval.
    ValueError for different lengths, no pairs, or a confidence outside (0, 1).
    """
    if len(values) != len(baseline):
        raise ValueError(f"paired values need equal lengths, got {len(values)} and {len(baseline)}")
    difference = mean_std([x - y for x, y in zip(values, baseline, strict=True)])
    if difference.std is None:
        return PairedDifference(difference.mean, None, None, 1)
    n = len(values)
    half = student_t_quantile(confidence, n - 1) * difference.std / math.sqrt(n)
    return PairedDifference(difference.mean, difference.mean - half, difference.mean + half, n)


def student_t_quantile(confidence: float, degrees: int) -> float:
    """The t with `P(|T| < t) = confidence` for Student's T with `degrees` degrees of freedom.

    Bisection on `theta = atan(t / sqrt(degrees))`, in which the probability is a finite sum.
    Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.
    """
    _check_confidence(confidence)
    if degrees < 1:
        raise ValueError(f"degrees of freedom must be at least 1, got {degrees}")
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        if _central_probability(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _central_probability(theta: float, degrees: int) -> float:
    cosine, odd = math.cos(theta), degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    total *= math.sin(theta)
    return (theta + total) * 2 / math.pi if odd else total


def paired_bootstrap(
    contributions: npt.ArrayLike,
    statistic: Callable[[Floats], Floats],
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> PairedDifference:
    """A difference between two runs on the same samples, with its bootstrap interval over the samples.

    The difference is `statistic(mean over samples of contributions)`; contributions are (N, M) and
    `statistic` maps means (R, M) to (R,). The interval is the basic one, `2 d - quantiles`, which also
    takes out the bias that resampling gives to ECE. It says how far another test set of this size might
    move the difference for this one pair of runs; it holds no variation between training seeds.
    Source: Davison and Hinkley 1997, Sec. 5.2.
    """
    values = np.asarray(contributions, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"contributions must be a non-empty (N, M) array, got shape {values.shape}")
    _check_confidence(confidence)
    samples, generator = len(values), np.random.default_rng(seed)
    means = []
    for _ in range(resamples):
        weights = np.bincount(generator.integers(0, samples, samples), minlength=samples)
        means.append(weights @ values / samples)
    difference = float(statistic(values.mean(axis=0)[None])[0])
    tail = (1 - confidence) / 2
    low, high = np.quantile(statistic(np.array(means)), [tail, 1 - tail])
    bounds = 2 * difference - float(high), 2 * difference - float(low)
    return PairedDifference(difference, *bounds, seeds=1, source="test samples")


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
