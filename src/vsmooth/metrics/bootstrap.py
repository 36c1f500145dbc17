"""Bootstrap intervals over the samples, for many metrics from the same resamples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vsmooth.bounds import check_most
from vsmooth.metrics.binning import check_level
from vsmooth.metrics.calibration import (
    weighted_adaptive,
    weighted_classwise,
    weighted_debiased,
    weighted_ece,
    weighted_over,
    weighted_under,
)
from vsmooth.metrics.decomposition import weighted_reliability, weighted_resolution, weighted_uncertainty
from vsmooth.metrics.scores import weighted_accuracy, weighted_brier, weighted_nll
from vsmooth.metrics.weighted import CheckedPredictions, Metric, WeightedPredictions

MOST_RESAMPLES = 1_000_000
CHUNK = 1_500_000  # weights held at once, 12 MB; a dozen arrays of this size live at the same time


@dataclass(frozen=True)
class BootstrapInterval:
    """A metric's value and the ends of its confidence interval; ValueError for ends in the wrong order."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"an interval must not end before it begins, got {self.low:g} to {self.high:g}")


# Besides the ECE, those that depend on a number of bins, which `partial(metric, bins=...)` sets.
BINNED_METRICS: Mapping[str, Metric] = MappingProxyType({
    "adaptive_ece": weighted_adaptive,
    "classwise_ece": weighted_classwise,
    "debiased_ece": weighted_debiased,
    "ece_over": weighted_over,
    "ece_under": weighted_under,
    "reliability": weighted_reliability,
    "resolution": weighted_resolution,
    "uncertainty": weighted_uncertainty,
})
# Means over the samples, whose bootstrap intervals cover.
MEAN_METRICS: Mapping[str, Metric] = MappingProxyType({
    "accuracy": weighted_accuracy,
    "nll": weighted_nll,
    "brier": weighted_brier,
})
CALIBRATION_METRICS: Mapping[str, Metric] = MappingProxyType({
    **MEAN_METRICS,
    "ece": weighted_ece,
    "ece_10": partial(weighted_ece, bins=10),
    **BINNED_METRICS,
})


def bootstrap_intervals(
    probabilities: Tensor,
    labels: Tensor,
    metrics: Mapping[str, Metric] = MEAN_METRICS,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    method: Literal["basic", "percentile"] = "basic",
) -> dict[str, BootstrapInterval]:
    """Confidence intervals of metrics over the test samples, which are drawn anew with replacement.

    `metrics` maps names to functions of weighted predictions, such as `partial(weighted_ece, bins=20)`; all of
    them see the same resamples. With q the quantiles of the resampled values v*, "percentile" is [q_low,
    q_high] and "basic" [2 v - q_high, 2 v - q_low]. They suit means over the samples, the default. Binned errors
    they do not: resampling adds the noise of the bins a second time, and near calibration an interval of the ECE
    covers in about 60 % of samples, of the class-wise ECE in almost none, of the debiased error in half; take
    `calibration_error_interval`. An interval holds for this one network, not for other training seeds.
    ValueError for bad predictions, a level outside (0, 1) and resamples too few for its tails. Source: Efron
    and Tibshirani (1993), Sec. 13.3; Davison and Hinkley (1997), Sec. 5.2.
    """
    check_level(level)
    check_resamples(resamples, level)
    if method not in ("basic", "percentile"):
        raise ValueError(f"method must be 'basic' or 'percentile', got {method!r}")
    predictions = CheckedPredictions(probabilities, labels)
    whole = WeightedPredictions(predictions, torch.ones_like(predictions.own)[:, None])
    drawn: dict[str, list[Tensor]] = {name: [] for name in metrics}
    for weights in _resampling_weights(len(predictions.own), resamples, seed):
        resampled = WeightedPredictions(predictions, weights.to(predictions.own.device))
        for name, metric in metrics.items():
            drawn[name].append(metric(resampled))
    return {
        name: _interval(float(metric(whole)), torch.cat(drawn[name]), level, method)
        for name, metric in metrics.items()
    }


def _resampling_weights(num_samples: int, resamples: int, seed: int) -> Iterator[Tensor]:
    """How often each resample draws each sample, (N, R) float64 in chunks of R."""
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK // num_samples)
    for start in range(0, resamples, chunk):
        weights = np.empty((num_samples, min(chunk, resamples - start)))
        for column in weights.T:
            column[:] = np.bincount(generator.integers(0, num_samples, num_samples), minlength=num_samples)
        yield torch.from_numpy(weights)


def _interval(value: float, drawn: Tensor, level: float, method: str) -> BootstrapInterval:
    tail = (1 - level) / 2
    # Order statistics, not interpolation: an infinite NLL may be among them.
    low = float(drawn.quantile(tail, interpolation="lower"))
    high = float(drawn.quantile(1 - tail, interpolation="higher"))
    if method == "basic" and math.isfinite(value):
        low, high = 2 * value - high, 2 * value - low
    return BootstrapInterval(value, low, high)


def check_resamples(resamples: int, level: float) -> None:
    """ValueError for fewer resamples than the tails of the level need, and for more than a million."""
    least = round(2 / (1 - level))
    if least > MOST_RESAMPLES:
        raise ValueError(
            f"level {level!r} needs {least:,} resamples, and {MOST_RESAMPLES:,} are the most: choose a lower level"
        )
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < least:
        raise ValueError(f"a {level:.0%} interval needs at least {least} resamples, got {resamples!r}")
    check_most("resamples", resamples, MOST_RESAMPLES, "the ends of the interval hardly move any more")
