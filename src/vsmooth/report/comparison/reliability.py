"""Confidence, correctness and reliability bins of saved predictions, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch

from vsmooth.metrics.binning import bin_outcomes, equal_width_index
from vsmooth.records.comparison import Comparison
from vsmooth.records.run import RunRecord

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
    """Equal-width bins (lo, hi] of confidence: counts, accuracy and mean confidence (NaN where empty).

    `low` and `high` are the ends of the accuracy's interval, which takes the outcomes for independent: those
    of several runs on the same images, pooled, are not.
    """

    edges: Floats
    counts: npt.NDArray[np.int64]
    accuracy: Floats
    confidence: Floats
    low: Floats
    high: Floats


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
    found: npt.NDArray[np.int64] = equal_width_index(torch.from_numpy(confidence), bins).numpy()
    return found


def reliability_bins(found: Outcomes, bins: int = BINS, level: float = 0.95) -> Bins:
    """Accuracy with its Wilson interval and mean confidence by equal-width bin; see `vsmooth.metrics`."""
    confidence, correct = torch.from_numpy(found.confidence), torch.from_numpy(found.correct).double()
    binned = bin_outcomes(confidence, correct, bins, level)
    return Bins(*(getattr(binned, field.name).numpy() for field in fields(Bins)))
