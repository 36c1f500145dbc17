"""Checks of the inputs that all metrics share."""

from __future__ import annotations

import torch
from torch import Tensor

from vsmooth.bounds import check_most

# bf16 is the coarsest softmax users feed in: its rows miss 1 by up to about K * 2**-9 * mean(p) = 2e-3.
SUM_TOLERANCE = 5e-3
# A float32 average of probabilities can pass 1 by a few ulps; anything larger is not a probability.
RANGE_TOLERANCE = 1e-6
MOST_BINS = 10_000


def check_predictions(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (N, K) as float64 and labels (N,) as int64 on one device; ValueError if they are not."""
    checked = check_probabilities(probabilities)
    return checked, check_labels(labels, *checked.shape).to(checked.device)


def check_labels(labels: Tensor, num_samples: int, num_classes: int) -> Tensor:
    """Labels (N,) as int64 in 0..K-1; ValueError naming the first that is not."""
    if labels.ndim != 1 or labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        found = f"shape {tuple(labels.shape)} of {labels.dtype}"
        raise ValueError(f"labels must be (N,) class indices, got {found}")
    if len(labels) != num_samples:
        raise ValueError(f"{num_samples} predictions but {len(labels)} labels; pass one label per prediction")
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        index = int(outside.nonzero()[0])
        raise ValueError(f"label {int(labels[index])} at index {index} is outside 0..{num_classes - 1}")
    return labels.long()


def check_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """Labels (N,) of logits (N, K) as int64 on the logits' device; ValueError unless both are valid."""
    shape = tuple(logits.shape)
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 2 or not logits.is_floating_point():
        found = f"{shape} of {logits.dtype}"
        raise ValueError(f"logits must be floating point (N, K), N >= 1 and K >= 2, got {found}")
    check_finite_logits(logits)
    return check_labels(labels, *shape).to(logits.device)


def check_finite_logits(logits: Tensor) -> None:
    """ValueError naming the first sample of logits (N, C) with NaN or Inf."""
    broken = ~logits.isfinite().all(1)
    if broken.any():
        raise ValueError(f"logits of sample {int(broken.nonzero()[0])} hold NaN or Inf; has training diverged?")


def check_bins(bins: int) -> None:
    """ValueError unless `bins` is a whole number of at least 1."""
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ValueError(f"bins must be a whole number of at least 1, got {bins!r}")
    check_most("bins", bins, MOST_BINS, "so many hold hardly a sample each")


def check_probabilities(probabilities: Tensor) -> Tensor:
    """Probabilities (N, K) as float64; ValueError unless each row lies in [0, 1] and sums to 1."""
    shape = tuple(probabilities.shape)
    if len(shape) != 2 or not probabilities.is_floating_point():
        found = f"shape {shape} of {probabilities.dtype}"
        raise ValueError(f"probabilities must be floating point (N, K), got {found}")
    if shape[0] < 1 or shape[1] < 2:
        raise ValueError(f"probabilities need at least 1 sample and 2 classes, got shape {shape}")
    low, high = (float(bound) for bound in probabilities.aminmax())
    # Written so that NaN, for which every comparison is false, also lands here.
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
        found = f"{low:.6g} to {high:.6g}"
        raise ValueError(f"probabilities must lie in [0, 1], got {found}; pass softmax(logits)")
    probabilities = probabilities.double()
    sums = probabilities.sum(1)
    index = int((sums - 1).abs().argmax())
    if abs(float(sums[index]) - 1) > SUM_TOLERANCE:
        raise ValueError(f"probabilities of sample {index} sum to {float(sums[index]):.6g}, not to 1")
    return probabilities
