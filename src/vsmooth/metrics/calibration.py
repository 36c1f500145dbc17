"""Calibration errors by binning: how far confidence is from accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsmooth.metrics.inputs import check_bins, check_predictions


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """A reliability diagram: B equal-width bins (lo, hi] of the confidence; NaN where a bin is empty."""

    edges: Tensor  # (B+1,) float64 from 0 to 1
    counts: Tensor  # (B,) int64 samples
    accuracy: Tensor  # (B,) float64
    confidence: Tensor  # (B,) float64 mean


def reliability_bins(probabilities: Tensor, labels: Tensor, bins: int = 15) -> ReliabilityBins:
    """Samples, accuracy and mean confidence in each equal-width bin of the top probability.

    Bin b holds b/B < max_k p_nk <= (b+1)/B; the first also holds 0. probabilities (N, K), labels (N,).
    ValueError for inputs that are not probabilities and labels, and for bins < 1.
    """
    check_bins(bins)
    confidence, correct = _top_label(*check_predictions(probabilities, labels))
    edges = _equal_width_edges(bins, confidence.device)
    index = _equal_width_index(confidence, edges)
    counts = torch.bincount(index, minlength=bins)
    return ReliabilityBins(
        edges=edges,
        counts=counts,
        accuracy=torch.bincount(index, weights=correct, minlength=bins) / counts,
        confidence=torch.bincount(index, weights=confidence, minlength=bins) / counts,
    )


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """ECE: the gap between accuracy and confidence, averaged over equal-width bins of the confidence.

    `sum_b n_b / N |acc_b - conf_b|`, bins (lo, hi] of the top probability, the first closed at 0; in [0, 1].
    Limits: one bin, or a constant confidence, gives |accuracy - confidence|; a calibrated source tends to 0
    only as N grows, because each bin adds its sampling noise of about sqrt(acc (1 - acc) / n_b). Source:
    Naeini et al. (2015); Guo et al. (2017), Eq. 3.
    """
    diagram = reliability_bins(probabilities, labels, bins)
    gaps = (diagram.accuracy - diagram.confidence).abs().nan_to_num(0.0)
    return float((diagram.counts * gaps).sum() / diagram.counts.sum())


def adaptive_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Adaptive ECE: as the ECE, over bins of equal mass instead of equal width.

    Samples are sorted by top probability and cut into `bins` runs whose sizes differ by at most one; `sum_b
    n_b / N |acc_b - conf_b|`. Samples of equal confidence share their mean accuracy, so neither their order
    nor a cut through them matters. Limits: a constant confidence gives |accuracy - confidence|; N bins or
    more give one sample to each. Source: Nguyen and O'Connor (2015); Mukhoti et al. (2020), Sec. 3.
    """
    check_bins(bins)
    confidence, correct = _top_label(*check_predictions(probabilities, labels))
    confidence, order = confidence.sort()
    values, group, sizes = torch.unique_consecutive(confidence, return_inverse=True, return_counts=True)
    shared_accuracy = torch.bincount(group, weights=correct[order]) / sizes
    gaps = (shared_accuracy - values)[group]
    runs = gaps.tensor_split(min(bins, len(gaps)))
    return sum(abs(float(run.sum())) for run in runs) / len(gaps)


def classwise_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Class-wise ECE: the ECE of each class's probability against its frequency, averaged over the classes.

    `1/K sum_k sum_b n_bk / N |freq_bk - mean p_bk|`, equal-width bins (lo, hi] of p_nk over all samples.
    Shrinks with K, as most probabilities are near 0: compare only at equal K. Source: Kull et al. (2019), Eq.
    3.
    """
    check_bins(bins)
    probabilities, labels = check_predictions(probabilities, labels)
    num_samples, num_classes = probabilities.shape
    offsets = bins * torch.arange(num_classes, device=labels.device)
    index = _equal_width_index(probabilities, _equal_width_edges(bins, labels.device)) + offsets
    gaps = torch.bincount(index.flatten(), weights=probabilities.flatten(), minlength=bins * num_classes)
    labelled = index.gather(1, labels[:, None]).squeeze(1)
    gaps -= torch.bincount(labelled, minlength=bins * num_classes)
    return float(gaps.abs().sum() / (num_samples * num_classes))


def _top_label(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    confidence, predicted = probabilities.max(1)
    return confidence, (predicted == labels).double()


def _equal_width_edges(bins: int, device: torch.device) -> Tensor:
    # Division rounds each edge correctly, so a confidence of 0.3 equals the edge 3/10; linspace does not.
    return torch.arange(bins + 1, dtype=torch.float64, device=device) / bins


def _equal_width_index(values: Tensor, edges: Tensor) -> Tensor:
    return torch.bucketize(values, edges[1:-1].contiguous())
