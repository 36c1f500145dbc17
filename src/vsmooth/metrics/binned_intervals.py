"""Confidence intervals of the top-label calibration errors, also valid near calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vsmooth.metrics.binning import check_level
from vsmooth.metrics.bootstrap import BootstrapInterval, check_resamples
from vsmooth.metrics.calibration import weighted_debiased, weighted_ece
from vsmooth.metrics.weighted import WeightedPredictions, unit_weights

Floats = npt.NDArray[np.float64]
CalibrationError = Literal["ece", "debiased_ece"]
_METRICS: dict[CalibrationError, Callable[[WeightedPredictions, int], Tensor]] = {
    "ece": weighted_ece, "debiased_ece": weighted_debiased
}
_STEPS = 25  # of bisection
_WIDEST = 6.0  # standard deviations by which every gap is widened at most


def calibration_error_interval(
    probabilities: Tensor,
    labels: Tensor,
    error: CalibrationError = "ece",
    bins: int = 15,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> BootstrapInterval:
    """The error and the confidence interval of its population value, by inversion of a test.

    Resampling the samples adds the noise of the bins a second time, and near 0 that noise is all there is, so quantiles
    of a bootstrap do not cover. Here a test is inverted instead. A candidate keeps the bins' confidences and moves each
    gap (confidence minus accuracy) by the same number of its standard deviations, to 0 and no further or away from it;
    the error of simulated samples of such a network (bin sizes multinomial, accuracies normal) is compared with that of
    the data. The interval ends where the data's lies in a tail of (1 - level) / 2. The upper tail is divided by that of
    a calibrated network, so that no interval is empty. The ECE's own noise is out of its interval, which may lie below
    its value, but not out of the value. Simulated coverage: docs/results/statistics.md. It holds for this one network.
    ValueError for bad predictions, bins, level and resamples. Source: test inversion, Davison and Hinkley (1997), Sec.
    5.5; the upper tail, Read (2002).
    """
    check_level(level)
    check_resamples(resamples, level)
    if error not in _METRICS:
        raise ValueError(f"error must be one of {', '.join(_METRICS)}, got {error!r}")
    sample = unit_weights(probabilities, labels)
    network = _binned(sample, bins)
    value = float(_METRICS[error](sample, bins))
    low, high = _invert(_Simulation(network, error, resamples, seed), (1 - level) / 2)
    return BootstrapInterval(value, low, high)


@dataclass(frozen=True, eq=False)
class _BinnedNetwork:
    """Non-empty bins (B,): samples, mean confidence, and confidence minus accuracy."""

    counts: Floats
    confidence: Floats
    gap: Floats

    @property
    def deviation(self) -> Floats:
        """Standard deviation of each gap; one pseudo-sample of the confidence keeps it above 0."""
        accuracy = self.confidence - self.gap
        spread = accuracy * (1 - accuracy) * self.counts + self.confidence * (1 - self.confidence)
        found: Floats = np.sqrt(np.maximum(spread, 1e-12) / (self.counts + 1) / self.counts)
        return found

    @property
    def most(self) -> float:
        """The number of standard deviations that reduces every gap to 0."""
        return float((np.abs(self.gap) / self.deviation).max())

    def moved(self, shift: float) -> Floats:
        """The gaps, `shift` standard deviations nearer to 0, with accuracies in [0, 1]."""
        gap = np.sign(self.gap) * np.maximum(np.abs(self.gap) - shift * self.deviation, 0)
        found: Floats = self.confidence - np.clip(self.confidence - gap, 0, 1)
        return found


class _Simulation:
    """An error of simulated samples, from the same random numbers whatever the gaps: (R,) squared for the L2 error."""

    def __init__(self, network: _BinnedNetwork, error: CalibrationError, resamples: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.network, self.squared = network, error == "debiased_ece"
        self.total = network.counts.sum()
        counts = generator.multinomial(int(self.total), network.counts / self.total, resamples)
        self.counts: Floats = counts.astype(float)
        self.normal = generator.normal(size=self.counts.shape)
        self.observed = float(self._error(self.network.gap[None], self.network.counts[None])[0])

    def errors(self, shift: float) -> Floats:
        """Of samples of the network whose gaps are `shift` standard deviations nearer to 0."""
        gap = self.network.moved(shift)
        accuracy = self.network.confidence - gap
        noise = np.sqrt(accuracy * (1 - accuracy) / np.maximum(self.counts, 1)) * self.normal
        return self._error(gap + noise, self.counts)

    def truth(self, shift: float) -> float:
        """The population's error of that network."""
        gap, weight = self.network.moved(shift), self.network.counts / self.total
        return float(np.sqrt(weight @ gap**2) if self.squared else weight @ np.abs(gap))

    def _error(self, gap: Floats, counts: Floats) -> Floats:
        if not self.squared:
            return np.asarray((counts * np.abs(gap)).sum(1) / self.total)
        accuracy = np.clip(self.network.confidence - gap, 0, 1)
        noise = accuracy * (1 - accuracy) / np.maximum(counts - 1, 1)
        return np.asarray((counts * (gap**2 - noise) * (counts > 1)).sum(1) / self.total)


def _binned(sample: WeightedPredictions, bins: int) -> _BinnedNetwork:
    sums = sample.top_label(bins)
    counts, scores, events = (part[:, 0].cpu().numpy() for part in (sums.counts, sums.scores, sums.events))
    kept = counts > 0
    counts, confidence, accuracy = counts[kept], scores[kept] / counts[kept], events[kept] / counts[kept]
    return _BinnedNetwork(counts, confidence, confidence - accuracy)


def _invert(simulation: _Simulation, tail: float) -> tuple[float, float]:
    most, observed = simulation.network.most, simulation.observed
    calibrated = simulation.errors(most)

    def reached(shift: float) -> bool:
        return float((simulation.errors(shift) >= observed).mean()) >= tail

    def undercut(shift: float) -> bool:
        return float((simulation.errors(shift) <= observed).mean()) >= tail * float((calibrated <= observed).mean())

    low = 0.0 if reached(most) else simulation.truth(_boundary(lambda shift: not reached(shift), most))
    high = simulation.truth(_boundary(undercut, most))
    return min(low, high), high


def _boundary(holds: Callable[[float], bool], most: float) -> float:
    """The smallest shift from which on `holds`, by bisection."""
    low, high = -_WIDEST, most
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
