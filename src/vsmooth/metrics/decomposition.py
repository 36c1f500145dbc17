"""Decomposition of the Brier score: calibration, sharpness, and the terms within the bins."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vsmooth.metrics.weighted import BinSums, WeightedPredictions, unit_weights


@dataclass(frozen=True)
class BrierDecomposition:
    """Parts of the Brier score, each summed over the classes; `brier` puts them together again."""

    reliability: float  # squared distance of probabilities from frequencies; less is better
    resolution: float  # squared distance of the bins' frequencies from the class's; more is better
    uncertainty: float  # variance of the labels; the data's alone
    within_bin_variance: float  # of the probabilities
    within_bin_covariance: float  # twice that of probabilities and labels

    @property
    def brier(self) -> float:
        """`reliability - resolution + uncertainty + within_bin_variance - within_bin_covariance`."""
        within = self.within_bin_variance - self.within_bin_covariance
        return self.reliability - self.resolution + self.uncertainty + within


def brier_decomposition(probabilities: Tensor, labels: Tensor, bins: int = 15) -> BrierDecomposition:
    """Reliability, resolution and uncertainty of every class's probability, and two terms within the bins.

    Over equal-width bins b of p_nk (as in the class-wise ECE), with f the mean probability, o the frequency
    of the label and o_k the frequency of class k: `reliability = sum_kb n_bk/N (f_bk - o_bk)^2`, `resolution =
    sum_kb n_bk/N (o_bk - o_k)^2`, `uncertainty = sum_k o_k (1 - o_k)`. With the two terms within the bins
    `brier` equals `brier_score`; without them the identity holds only for probabilities that take one value
    in each bin. Uniform probabilities: resolution 0. Source: Murphy (1973); Stephenson, Coelho and Jolliffe
    (2008) for the terms within the bins.
    """
    sample = unit_weights(probabilities, labels)
    return BrierDecomposition(
        reliability=float(weighted_reliability(sample, bins)),
        resolution=float(weighted_resolution(sample, bins)),
        uncertainty=float(weighted_uncertainty(sample, bins)),
        within_bin_variance=float(weighted_variance(sample, bins)),
        within_bin_covariance=float(weighted_covariance(sample, bins)),
    )


def weighted_reliability(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`BrierDecomposition.reliability` under each weighting, (R,)."""
    sums = sample.classes(bins)
    return _over_bins((sums.scores - sums.events).square(), sums, sample)


def weighted_resolution(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`BrierDecomposition.resolution` under each weighting, (R,)."""
    sums = sample.classes(bins)
    expected = sums.counts * sums.events.sum(0) / sample.total
    return _over_bins((sums.events - expected).square(), sums, sample)


def weighted_uncertainty(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`BrierDecomposition.uncertainty` under each weighting, (R,)."""
    frequency = sample.classes(bins).events.sum(0) / sample.total
    return (frequency * (1 - frequency)).sum(0)


def weighted_variance(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`BrierDecomposition.within_bin_variance` under each weighting, (R,)."""
    sums = sample.classes(bins)
    squares = sample.mean(sample.predictions.squares)
    return squares - _over_bins(sums.scores.square(), sums, sample)


def weighted_covariance(sample: WeightedPredictions, bins: int = 15) -> Tensor:
    """`BrierDecomposition.within_bin_covariance` under each weighting, (R,)."""
    sums = sample.classes(bins)
    products = sample.mean(sample.predictions.own)
    return 2 * (products - _over_bins(sums.scores * sums.events, sums, sample))


def _over_bins(products: Tensor, sums: BinSums, sample: WeightedPredictions) -> Tensor:
    """Products (B, K, R) of two sums, divided by the count of their bin and the total weight."""
    return (products / sums.counts).where(sums.counts > 0, 0.0).sum((0, 1)) / sample.total
