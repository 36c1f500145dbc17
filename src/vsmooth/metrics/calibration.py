"""Calibration errors by binning: how far confidence is from accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from vsmooth.metrics.inputs import check_bins
from vsmooth.metrics.weighted import WeightedPredictions, unit_weights


@dataclass(frozen=True)
class ConfidenceGaps:
    """The two parts of the ECE: their sum is the ECE, their difference mean confidence minus accuracy."""

    over: float
    under: float


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """ECE: the gap between accuracy and confidence, averaged over equal-width bins of the confidence.

    `sum_b n_b / N |acc_b - conf_b|`, bins (lo, hi] of the top probability, the first closed at 0; in [0, 1].
    Limits: one bin, or a constant confidence, gives |accuracy - confidence|; a calibrated source tends to 0
    only as N grows, because each bin adds its sampling noise of about sqrt(acc (1 - acc) / n_b). Source:
    Naeini et al. (2015); Guo et al. (2017), Eq. 3.
    """
    return float(weighted_ece(unit_weights(probabilities, labels), bins))


def confidence_gaps(probabilities: Tensor, labels: Tensor, bins: int = 15) -> ConfidenceGaps:
    """Over- and under-confidence: the ECE's bins whose confidence is above their accuracy, and those below.

    `over = sum_b n_b / N max(conf_b - acc_b, 0)`, `under = sum_b n_b / N max(acc_b - conf_b, 0)`, each in
    [0, 1]. Both hold sampling noise: a calibrated source has about half of its ECE in each.
    """
    sample = unit_weights(probabilities, labels)
    return ConfidenceGaps(float(weighted_over(sample, bins)), float(weighted_under(sample, bins)))


def debiased_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Root mean square calibration error without the sampling noise that binning adds.

    `sqrt(max(0, sum_b n_b / N [(acc_b - conf_b)^2 - acc_b (1 - acc_b) / (n_b - 1)]))`, bins as in the ECE; a
    bin with one sample counts 0. The sum is an unbiased estimate of the binned squared error where every bin
    holds two samples or more, and 0 for about half of the samples of a calibrated source; the root is an L2
    error, which without noise is never below the ECE. Source: Kumar, Liang and Ma (2019), Sec. 5.
    """
    return float(weighted_debiased(unit_weights(probabilities, labels), bins))


def adaptive_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Adaptive ECE: as the ECE, over bins of equal mass instead of equal width.

    Samples are sorted by top probability and cut into `bins` runs whose sizes differ by at most one; `sum_b
    n_b / N |acc_b - conf_b|`. Samples of equal confidence share their mean accuracy, so neither their order
    nor a cut through them matters. Limits: a constant confidence gives |accuracy - confidence|; N bins or
    more give one sample to each. Source: Nguyen and O'Connor (2015); Mukhoti et al. (2020), Sec. 3.
    """
    return float(weighted_adaptive(unit_weights(probabilities, labels), bins))


def classwise_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Class-wise ECE: the ECE of each class's probability against its frequency, averaged over the classes.

    `1/K sum_k sum_b n_bk / N |freq_bk - mean p_bk|`, equal-width bins (lo, hi] of p_nk over all samples.
    Shrinks with K, as most probabilities are near 0: compare only at equal K. Source: Kull et al. (2019), Eq.
    3.
    """
    return float(weighted_classwise(unit_weights(probabilities, labels), bins))


def weighted_ece(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`expected_calibration_error` under each weighting, (R,)."""
    return _gaps(sample, bins).abs().sum(0)


def weighted_over(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`confidence_gaps(...).over` under each weighting, (R,)."""
    return _gaps(sample, bins).clamp(min=0).sum(0)


def weighted_under(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`confidence_gaps(...).under` under each weighting, (R,)."""
    return (-_gaps(sample, bins)).clamp(min=0).sum(0)


def weighted_debiased(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`debiased_calibration_error` under each weighting, (R,)."""
    sums = sample.top_label(bins)
    accuracy = sums.events / sums.counts
    gap = (sums.scores - sums.events) / sums.counts
    errors = gap.square() - accuracy * (1 - accuracy) / (sums.counts - 1)
    kept = (sums.counts * errors).where(sums.counts > 1, 0.0)
    return (kept.sum(0) / sample.total).clamp(min=0).sqrt()


def weighted_adaptive(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`adaptive_calibration_error` under each weighting, (R,): each weighting cuts its own bins."""
    check_bins(bins)
    ranking = sample.predictions.ranking
    weights = sample.weights[ranking.order].T.contiguous()
    # By position in the weighted ranking, the running sum of the gaps is linear within a group of ties.
    positions = pad(weights.cumsum(1)[:, ranking.ends], (1, 0))
    gaps = pad((weights * ranking.gaps).cumsum(1)[:, ranking.ends], (1, 0))
    cuts = _even_cuts(sample.total, bins)
    group = torch.searchsorted(positions, cuts)  # the group that a cut falls in, never an empty one
    start, end = positions.gather(1, group - 1), positions.gather(1, group)
    before = gaps.gather(1, group - 1)
    running = before + (gaps.gather(1, group) - before) * (cuts - start) / (end - start)
    return pad(running, (1, 0)).diff(dim=1).abs().sum(1) / sample.total


def weighted_classwise(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`classwise_calibration_error` under each weighting, (R,)."""
    sums = sample.classes(bins)
    return (sums.scores - sums.events).abs().sum((0, 1)) / (sample.total * sums.counts.shape[1])


def _gaps(sample: WeightedPredictions, bins: int) -> Tensor:
    sums = sample.top_label(bins)
    return (sums.scores - sums.events) / sample.total


def _even_cuts(total: Tensor, bins: int) -> Tensor:
    """Where each of B runs ends, (R, B), when a total weight (R,) is cut into runs that differ by one at most."""
    runs = torch.arange(1, bins + 1, device=total.device, dtype=total.dtype)
    size, rest = total.div(bins, rounding_mode="floor")[:, None], total.remainder(bins)[:, None]
    return runs * size + torch.minimum(runs, rest)
