"""Equal-width bins of confidence, and the reliability diagram made of them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

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
    low: Tensor  # (B,) float64 ends of the accuracy's Wilson interval
    high: Tensor

    def __post_init__(self) -> None:
        bins = len(self.counts)
        if self.counts.dtype != torch.int64 or not bins or int(self.counts.min()) < 0:
            raise ValueError(f"counts must be int64 (B,) of at least 0, got {self.counts.dtype} ({bins},)")
        for name in ("edges", "accuracy", "confidence", "low", "high"):
            values, length = getattr(self, name), bins + (name == "edges")
            if values.shape != (length,) or values.dtype != torch.float64 or bool(((values < 0) | (values > 1)).any()):
                found = f"{values.dtype} {tuple(values.shape)}"
                raise ValueError(f"{name} must be float64 ({length},) in [0, 1], got {found}")


def reliability_bins(probabilities: Tensor, labels: Tensor, bins: int = 15, level: float = 0.95) -> ReliabilityBins:
    """Samples, accuracy with its interval and mean confidence in each equal-width bin of the top probability.

    Bin b holds b/B < max_k p_nk <= (b+1)/B; the first also holds 0. probabilities (N, K), labels (N,).
    ValueError for inputs that are not probabilities and labels, for bins < 1 and a level outside (0, 1).
    """
    probabilities, labels = check_predictions(probabilities, labels)
    return bin_outcomes(*top_label(probabilities, labels), bins, level)


def top_label(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Confidence max_k p_nk and correctness (1 or 0) of each checked prediction, (N,) float64 each."""
    confidence, predicted = probabilities.max(1)
    return confidence, (predicted == labels).double()


def bin_outcomes(confidence: Tensor, correct: Tensor, bins: int = 15, level: float = 0.95) -> ReliabilityBins:
    """The reliability bins of confidences (N,) in [0, 1] and correctness (N,), 1 or 0, both float64."""
    index = equal_width_index(confidence, bins)
    counts = torch.bincount(index, minlength=bins)
    hits = torch.bincount(index, weights=correct, minlength=bins)
    return ReliabilityBins(
        equal_width_edges(bins, confidence.device),
        counts,
        hits / counts,
        torch.bincount(index, weights=confidence, minlength=bins) / counts,
        *wilson_interval(hits, counts, level),
    )


def equal_width_edges(bins: int, device: torch.device | None = None) -> Tensor:
    """The B+1 edges b/B, float64; ValueError for bins < 1."""
    check_bins(bins)
    # Division rounds each edge correctly, so a confidence of 0.3 equals the edge 3/10; linspace does not.
    return torch.arange(bins + 1, dtype=torch.float64, device=device) / bins


def equal_width_index(values: Tensor, bins: int) -> Tensor:
    """The bin (b/B, (b+1)/B] of each value in [0, 1], int64 of the same shape; 0 belongs to the first bin."""
    return torch.bucketize(values, equal_width_edges(bins, values.device)[1:-1].contiguous())


def wilson_interval(successes: Tensor, trials: Tensor, level: float = 0.95) -> tuple[Tensor, Tensor]:
    """Score interval of a binomial proportion, (low, high) in [0, 1]; NaN where there are no trials.

    `(p + z^2/2n -+ z sqrt(p (1 - p) / n + z^2/4n^2)) / (1 + z^2/n)`, z the (1 + level)/2 normal quantile.
    Never empty, also at p = 0 and p = 1. The trials must be independent: the same images seen by several
    networks are not. ValueError for a level outside (0, 1). Source: Wilson (1927).
    """
    check_level(level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    trials = trials.double()  # an integer tensor would make the quotients below float32
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    half = z * (share * (1 - share) / trials + (z / (2 * trials)) ** 2).sqrt()
    widen = 1 + z**2 / trials
    return ((centre - half) / widen).clamp(min=0), ((centre + half) / widen).clamp(max=1)


def check_level(level: float) -> None:
    """ValueError unless a confidence level lies between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}")
