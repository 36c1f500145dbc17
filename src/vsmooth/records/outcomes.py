"""Outcomes of a network on each test image, from its saved logits, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vsmooth.metrics.binning import equal_width_index

BINS = 15
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Per test image, (N,) each: true label, confidence of the predicted class, correctness, NLL in nats."""

    labels: npt.NDArray[np.int64]
    confidence: Floats
    correct: npt.NDArray[np.bool_]
    nll: Floats


def outcomes(logits: npt.ArrayLike, labels: npt.ArrayLike) -> Outcomes:
    """The outcomes of logits (N, K) on labels (N,), by a float64 softmax."""
    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    highest = scores.max(axis=1)
    log_total = np.log(np.exp(scores - highest[:, None]).sum(axis=1))
    chosen = np.take_along_axis(scores, truth[:, None], axis=1)[:, 0]
    return Outcomes(truth, np.exp(-log_total), scores.argmax(axis=1) == truth, highest + log_total - chosen)


def bin_index(confidence: Floats, bins: int = BINS) -> npt.NDArray[np.int64]:
    """The bin (lo, hi] of each confidence; confidence 0 belongs to the first bin."""
    found: npt.NDArray[np.int64] = equal_width_index(torch.from_numpy(confidence), bins).numpy()
    return found
