"""Differences from one-hot, or from no teacher, with intervals over seeds and test images, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.run import RunRecord
from vsmooth.records.statistics import PairedDifference, Variation, holm, variation_of_mean
from vsmooth.report.comparison.reliability import BINS, Floats, Outcomes, bin_index, run_outcomes

METRICS = ("accuracy", "ece", "nll")
RESAMPLES = 500  # for a standard error: within 3 % of its value
_CHUNK = 100


def difference_from_one_hot(comparison: Comparison, group: Group, metric: str) -> PairedDifference | None:
    """The difference over shared seeds, its p-value corrected for all differences of the comparison's table (Holm).

    None for one-hot itself and without a shared seed. Where teachers are compared, from the students without one.
    """
    return _table(comparison).get((group.variant.key, metric))


def difference(comparison: Comparison, group: Group, other: Group, metric: str) -> PairedDifference | None:
    """`group - other` over the seeds that have the metric in both; None if there are none. Not corrected.

    The interval is the wider of Student's t over the seeds (where there are several) and a bootstrap of the test
    images, which all seeds share. ValueError for predictions that are missing or of different test images.
    """
    found = group.difference(other, metric)
    if found is None or metric not in METRICS:
        return found
    seeds = shared_seeds(group, other, metric)
    ours, theirs = ([_Images.of(comparison, run) for run in _with_seeds(one, seeds)] for one in (group, other))
    if metric == "ece":
        images = _ece_variation(found.mean, ours, theirs)
    else:
        values = np.mean([getattr(a, metric) - getattr(b, metric) for a, b in zip(ours, theirs, strict=True)], axis=0)
        images = replace(variation_of_mean(values), centre=found.mean)
    return replace(found, variations=(*found.variations, images))


def shared_seeds(group: Group, other: Group, metric: str) -> tuple[int, ...]:
    """The seeds whose runs have a finite value of the metric in both groups."""
    ours, theirs = (
        {run.seed for run in one.runs if math.isfinite(run.value(metric))} for one in (group, other)
    )
    return tuple(sorted(ours & theirs))


# Tables, findings and claims ask for the same differences; predictions can be large, so they are read once.
@lru_cache(maxsize=4)
def _table(comparison: Comparison) -> Mapping[tuple[str, str], PairedDifference]:
    pairs = ((group, comparison.baseline_of(group)) for group in comparison.groups)
    found = {
        (group.variant.key, metric): one
        for group, baseline in pairs if baseline is not None
        for metric in METRICS if (one := difference(comparison, group, baseline, metric)) is not None
    }
    adjusted = holm([one.p_value() for one in found.values()])
    return {
        key: replace(one, adjusted_p=p, comparisons=len(found))
        for (key, one), p in zip(found.items(), adjusted, strict=True)
    }


def _with_seeds(group: Group, seeds: tuple[int, ...]) -> list[RunRecord]:
    return [run for run in group.runs if run.seed in seeds]


def _ece_variation(mean: float, ours: list[_Images], theirs: list[_Images]) -> Variation:
    moved = np.mean([a.resampled_ece - b.resampled_ece for a, b in zip(ours, theirs, strict=True)], axis=0)
    # Resampling adds the noise of the bins once more. Index 0 is the value itself.
    bias = float(moved[1:].mean() - moved[0])
    return Variation(mean - bias, float(moved[1:].std(ddof=1)))


@dataclass(frozen=True, eq=False)
class _Images:
    """What a run did on each test image (N,), and its ECE there (index 0) and on resampled images, (1 + R,).

    All runs of a comparison see the same resamples, so that their differences are paired.
    """

    accuracy: Floats
    nll: Floats
    resampled_ece: Floats

    @classmethod
    def of(cls, comparison: Comparison, run: RunRecord) -> _Images:
        """ValueError where the images are not those of the comparison's first run."""
        return _images(comparison)[run.folder]


class _ImagesOfRuns(dict[str, _Images]):
    """By folder of a run, each read when it is first asked for."""

    def __init__(self, comparison: Comparison) -> None:
        super().__init__()
        self._comparison, self._runs = comparison, {run.folder: run for run in comparison.runs}
        self._labels = run_outcomes(comparison, comparison.runs[0]).labels
        self._weights = _resampling_weights(len(self._labels))

    def __missing__(self, folder: str) -> _Images:
        found = run_outcomes(self._comparison, self._runs[folder])
        if not np.array_equal(found.labels, self._labels):
            both = f"{self._comparison.runs[0].folder} and {folder}"
            raise ValueError(f"{both} hold predictions of different test images; run the comparison again")
        self[folder] = _Images(found.correct.astype(float), found.nll, _resampled_ece(found, self._weights))
        return self[folder]


@lru_cache(maxsize=4)
def _images(comparison: Comparison) -> _ImagesOfRuns:
    return _ImagesOfRuns(comparison)


def _resampling_weights(samples: int) -> npt.NDArray[np.uint8]:
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
