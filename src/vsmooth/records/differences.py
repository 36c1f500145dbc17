"""Differences between variants, with intervals over seeds and test images, and Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsmooth.records.outcomes import BINS, Floats, Outcomes, bin_index
from vsmooth.records.statistics import PairedDifference, Variation, holm, variation_of_mean

if TYPE_CHECKING:
    from vsmooth.records.comparison import Comparison, Group
    from vsmooth.records.run import RunRecord

METRICS = ("accuracy", "ece", "nll")
RESAMPLES = 500  # for a standard error: within 3 % of its value
_CHUNK = 100


class Differences:
    """Those of one comparison; each run's ECE is resampled when it is first asked for, and once."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._resampled_eces: dict[str, Floats] = {}

    def from_baseline(self, group: Group, metric: str) -> PairedDifference | None:
        """The difference over shared seeds, its p-value corrected for all differences of the comparison's table (Holm).

        None for a baseline itself and without a shared seed.
        """
        return self._table.get((group.variant.key, metric))

    def between(self, group: Group, other: Group, metric: str) -> PairedDifference | None:
        """`group - other` over the seeds that have the metric in both; None if there are none. Not corrected.

        The interval is the wider of Student's t over the seeds (where there are several) and one over the test images,
        which all seeds share; of other metrics than accuracy, ECE and NLL the first alone. ValueError for predictions
        that are missing or of different test images.
        """
        found = group.difference(other, metric)
        if found is None or metric not in METRICS:
            return found
        seeds = group.shared_seeds(other, metric)
        ours, theirs = ([run for run in one.runs if run.seed in seeds] for one in (group, other))
        if metric == "ece":
            images = self._ece_variation(found.mean, ours, theirs)
        else:
            moved = [self._values(a, metric) - self._values(b, metric) for a, b in zip(ours, theirs, strict=True)]
            values = np.mean(moved, axis=0)
            images = replace(variation_of_mean(values), centre=found.mean)
        return replace(found, variations=(*found.variations, images))

    @cached_property
    def _table(self) -> Mapping[tuple[str, str], PairedDifference]:
        pairs = ((group, self._comparison.baseline_of(group)) for group in self._comparison.groups)
        found = {
            (group.variant.key, metric): one
            for group, baseline in pairs if baseline is not None
            for metric in METRICS if (one := self.between(group, baseline, metric)) is not None
        }
        adjusted = holm([one.p_value() for one in found.values()])
        return {
            key: replace(one, adjusted_p=p, comparisons=len(found))
            for (key, one), p in zip(found.items(), adjusted, strict=True)
        }

    def _values(self, run: RunRecord, metric: str) -> Floats:
        """On each test image, (N,)."""
        found = self._outcomes(run)
        return found.correct.astype(np.float64) if metric == "accuracy" else found.nll

    def _ece_variation(self, mean: float, ours: list[RunRecord], theirs: list[RunRecord]) -> Variation:
        moved = np.mean([self._resampled_ece(a) - self._resampled_ece(b) for a, b in zip(ours, theirs, strict=True)], 0)
        # Resampling adds the noise of the bins once more. Index 0 is the value itself.
        bias = float(moved[1:].mean() - moved[0])
        return Variation(mean - bias, float(moved[1:].std(ddof=1)))

    def _resampled_ece(self, run: RunRecord) -> Floats:
        """On the test images (index 0) and on resampled ones, (1 + R,); all runs see the same, which pairs them."""
        if run.folder not in self._resampled_eces:
            self._resampled_eces[run.folder] = _resampled_ece(self._outcomes(run), self._weights)
        return self._resampled_eces[run.folder]

    def _outcomes(self, run: RunRecord) -> Outcomes:
        """ValueError where the images are not those of the comparison's first run."""
        first, found = self._comparison.runs[0], self._comparison.outcomes(run)
        if not np.array_equal(found.labels, self._comparison.outcomes(first).labels):
            both = f"{first.folder} and {run.folder}"
            raise ValueError(f"{both} hold predictions of different test images; run the comparison again")
        return found

    @cached_property
    def _weights(self) -> npt.NDArray[np.uint8]:
        """How often each resample draws each image, (1 + R, N)."""
        samples = len(self._comparison.outcomes(self._comparison.runs[0]).labels)
        generator = np.random.default_rng(0)
        weights = np.ones((1 + RESAMPLES, samples), np.uint8)
        for row in weights[1:]:
            row[:] = np.bincount(generator.integers(0, samples, samples), minlength=samples)
        return weights


def _resampled_ece(found: Outcomes, weights: npt.NDArray[np.uint8]) -> Floats:
    gaps = np.zeros((len(found.labels), BINS), np.float32)
    gaps[np.arange(len(gaps)), bin_index(found.confidence)] = found.confidence - found.correct
    chunks = [weights[start : start + _CHUNK].astype(np.float32) @ gaps for start in range(0, len(weights), _CHUNK)]
    return np.asarray(np.abs(np.concatenate(chunks)).sum(axis=1, dtype=np.float64) / len(gaps))
