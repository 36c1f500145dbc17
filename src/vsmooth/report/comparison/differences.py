"""Differences from one-hot, or from no teacher: over seeds, with a single one over the test images."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.statistics import PairedDifference, paired_bootstrap
from vsmooth.report.comparison.reliability import BINS, Floats, Outcomes, bin_index, run_outcomes

METRICS = ("accuracy", "ece", "nll")
Statistic = Callable[[Floats], Floats]


def difference_from_one_hot(comparison: Comparison, group: Group, metric: str) -> PairedDifference | None:
    """The paired difference; with one shared seed a bootstrap over the test images gives its interval.

    None for one-hot itself and without a shared seed. Where teachers are compared, from the students without one.
    """
    difference = comparison.difference(group, metric)
    if difference is None or difference.low is not None or metric not in METRICS:
        return difference
    return _bootstraps(comparison)[group.name, metric]


# Tables, findings and claims ask for the same differences; predictions can be large, so they are read once.
@lru_cache(maxsize=4)
def _bootstraps(comparison: Comparison) -> dict[tuple[str, str], PairedDifference]:
    found = {}
    for group in comparison.groups:
        baseline = comparison.baseline
        pairs = [(a, b) for b in (baseline.runs if baseline else ()) for a in group.runs if a.seed == b.seed]
        if group is baseline or len(pairs) != 1:
            continue
        run, reference = (run_outcomes(comparison, one) for one in pairs[0])
        if not np.array_equal(run.labels, reference.labels):
            folders = " and ".join(one.folder for one in pairs[0])
            raise ValueError(f"{folders} hold predictions of different test images; run the comparison again")
        for metric in METRICS:
            found[group.name, metric] = paired_bootstrap(*_contributions(run, reference, metric))
    return found


def _contributions(run: Outcomes, reference: Outcomes, metric: str) -> tuple[Floats, Statistic]:
    if metric == "accuracy":
        return (run.correct.astype(float) - reference.correct)[:, None], lambda means: means[:, 0]
    if metric == "nll":
        return (run.nll - reference.nll)[:, None], lambda means: means[:, 0]
    return np.hstack([_binned_gaps(run), _binned_gaps(reference)]), _ece_difference


def _binned_gaps(found: Outcomes) -> Floats:
    gaps = np.zeros((len(found.labels), BINS))
    gaps[np.arange(len(gaps)), bin_index(found.confidence)] = found.confidence - found.correct
    return gaps


def _ece_difference(means: Floats) -> Floats:
    return np.asarray(np.abs(means[:, :BINS]).sum(axis=1) - np.abs(means[:, BINS:]).sum(axis=1))
