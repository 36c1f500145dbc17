"""Reliability bins of saved predictions, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch

from vsmooth.metrics.binning import bin_outcomes
from vsmooth.records.outcomes import BINS, Outcomes

Floats = npt.NDArray[np.float64]


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


def pool(found: Sequence[Outcomes]) -> Outcomes:
    """The outcomes of several runs, one after the other."""
    return Outcomes(*(np.concatenate(parts) for parts in zip(
        *((o.labels, o.confidence, o.correct, o.nll) for o in found), strict=True
    )))


def reliability_bins(found: Outcomes, bins: int = BINS, level: float = 0.95) -> Bins:
    """Accuracy with its Wilson interval and mean confidence by equal-width bin; see `vsmooth.metrics`."""
    confidence, correct = torch.from_numpy(found.confidence), torch.from_numpy(found.correct).double()
    binned = bin_outcomes(confidence, correct, bins, level)
    return Bins(*(getattr(binned, field.name).numpy() for field in fields(Bins)))
