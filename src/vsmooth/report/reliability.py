"""Confidence, correctness and reliability bins of saved predictions, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsmooth.experiments.record import Comparison, RunRecord

BINS = 15
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Per test image, (N,) each: true label, confidence of the predicted class, was it right, NLL in nats."""

    labels: npt.NDArray[np.int64]
    confidence: Floats
    correct: npt.NDArray[np.bool_]
    nll: Floats


@dataclass(frozen=True, eq=False)
class Bins:
    """Equal-width bins (lo, hi] of confidence: counts, accuracy and mean confidence (NaN where empty)."""

    edges: Floats
    counts: npt.NDArray[np.int64]
    accuracy: Floats
    confidence: Floats


def outcomes(logits: npt.ArrayLike, labels: npt.ArrayLike) -> Outcomes:
    """The outcomes of logits (N, K) on labels (N,), by a float64 softmax."""
    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    highest = scores.max(axis=1)
    log_total = np.log(np.exp(scores - highest[:, None]).sum(axis=1))
    chosen = np.take_along_axis(scores, truth[:, None], axis=1)[:, 0]
    return Outcomes(truth, np.exp(-log_total), scores.argmax(axis=1) == truth, highest + log_total - chosen)


def run_outcomes(comparison: Comparison, run: RunRecord) -> Outcomes:
    """The outcomes of a run's saved test predictions."""
    return outcomes(*comparison.predictions(run))


def pool(found: Sequence[Outcomes]) -> Outcomes:
    """The outcomes of several runs, one after the other."""
    return Outcomes(*(np.concatenate(parts) for parts in zip(
        *((o.labels, o.confidence, o.correct, o.nll) for o in found), strict=True
    )))


def bin_index(confidence: Floats, bins: int = BINS) -> npt.NDArray[np.int64]:
    """The bin (lo, hi] of each confidence; confidence 0 belongs to the first bin."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)


def reliability_bins(found: Outcomes, bins: int = BINS) -> Bins:
    """Accuracy and mean confidence by equal-width bin."""
    index = bin_index(found.confidence, bins)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        accuracy = np.bincount(index, found.correct, bins) / counts
        confidence = np.bincount(index, found.confidence, bins) / counts
    return Bins(np.linspace(0.0, 1.0, bins + 1), counts, accuracy, confidence)
