"""Selective classification: what a classifier gets wrong if it answers only where it is confident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsmooth.metrics.detection import Floats, auroc, rank_scores

COVERAGES = (0.8, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Error rate among the answered images, (N,), by how many are answered: coverage n / N, the most confident first.

    Equal confidences are answered in random order: the risk is its expectation.
    """

    coverage: Floats
    risk: Floats

    @property
    def area(self) -> float:
        """AURC, the mean risk over all coverages; with one confidence for all, the error rate. Source: Geifman and
        El-Yaniv, "Selective Classification for Deep Neural Networks" (2017).
        """
        return float(self.risk.mean())

    @property
    def excess_area(self) -> float:
        """AURC less that of the best order of the same answers, in which the wrong ones come last; at least 0.

        Unlike AURC it does not reward accuracy. Source: Geifman et al. (ICLR 2019), Sec. 4.
        """
        count = len(self.risk)
        right = count - round(count * float(self.risk[-1]))
        place = np.arange(1, count + 1)
        return self.area - float((np.maximum(place - right, 0) / place).mean())

    def accuracy_at(self, coverage: float) -> float:
        """Accuracy among the most confident share of the images; ValueError for a coverage outside (0, 1]."""
        if not 0 < coverage <= 1:
            raise ValueError(f"coverage must be above 0 and at most 1, got {coverage}")
        return 1 - float(self.risk[max(1, round(coverage * len(self.risk))) - 1])


def risk_coverage(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> RiskCoverage:
    """The curve of confidences (N,), any monotone score, and whether each answer is right, (N,).

    ValueError for no images, shapes that differ and NaN.
    """
    scores, right = _checked(confidence, correct)
    order = np.argsort(-scores, kind="stable")
    _, first, size = np.unique(-scores[order], return_index=True, return_counts=True)
    # Within a group of equal confidences errors are expected evenly.
    shares = np.repeat(np.add.reduceat(1.0 - right[order], first) / size, size)
    place = np.arange(1, len(scores) + 1)
    return RiskCoverage(place / len(scores), shares.cumsum() / place)


def misclassification_auroc(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> float:
    """AUROC of right answers against wrong ones by confidence: 0.5 for one confidence for all; NaN if all are alike.

    ValueError as `risk_coverage`.
    """
    scores, right = _checked(confidence, correct)
    if right.all() or not right.any():
        return float("nan")
    return auroc(rank_scores(scores[~right], scores[right]).counts)


def selective_metrics(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, coverages: Sequence[float] = COVERAGES
) -> dict[str, float]:
    """By name: aurc, excess_aurc, misclassification_auroc, and accuracy at each coverage. ValueError as above."""
    curve = risk_coverage(confidence, correct)
    found = {
        "aurc": curve.area,
        "excess_aurc": curve.excess_area,
        "misclassification_auroc": misclassification_auroc(confidence, correct),
    }
    return found | {f"accuracy_at_{coverage:g}": curve.accuracy_at(coverage) for coverage in coverages}


def _checked(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    scores, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct).astype(bool)
    if scores.ndim != 1 or not len(scores) or right.shape != scores.shape:
        raise ValueError(f"confidence and correctness must be (N,), N >= 1, got {scores.shape} and {right.shape}")
    if broken := int(np.isnan(scores).sum()):
        raise ValueError(f"{broken:,} of {len(scores):,} confidences are NaN: they have no place in an order")
    return scores, right
