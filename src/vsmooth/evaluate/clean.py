"""The metrics on unchanged images that every run reports."""

from __future__ import annotations

from dataclasses import dataclass

from torch.nn.functional import cross_entropy

from vsmooth.metrics import (
    accuracy,
    adaptive_calibration_error,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    top_k_accuracy,
)
from vsmooth.records.predictions import Predictions


@dataclass(frozen=True)
class CleanMetrics:
    """Accuracy, proper scores and calibration of the K-class softmax; shares in [0, 1], NLL in nats."""

    accuracy: float
    top5: float | None  # None where K <= 5: it would be 1 by construction
    nll: float
    brier: float
    ece: float  # 15 equal-width bins, the literature's usual
    ece_10: float  # 10 equal-width bins, the paper's
    adaptive_ece: float  # 15 equal-mass bins
    classwise_ece: float  # 15 equal-width bins
    mean_confidence: float
    overconfidence: float  # mean_confidence - accuracy: positive is over-confident, negative under-confident
    samples: int


def evaluate_clean(predictions: Predictions) -> CleanMetrics:
    """All of `CleanMetrics` from one set of predictions, computed in float64.

    The NLL is taken from the logits, so it is finite where a probability underflows.
    """
    probabilities, labels = predictions.probabilities, predictions.labels
    correct = accuracy(probabilities, labels)
    confidence = float(probabilities.amax(1).mean())
    return CleanMetrics(
        accuracy=correct,
        top5=top_k_accuracy(probabilities, labels, 5) if probabilities.shape[1] > 5 else None,
        nll=float(cross_entropy(predictions.logits.double(), labels.long())),
        brier=brier_score(probabilities, labels),
        ece=expected_calibration_error(probabilities, labels, bins=15),
        ece_10=expected_calibration_error(probabilities, labels, bins=10),
        adaptive_ece=adaptive_calibration_error(probabilities, labels, bins=15),
        classwise_ece=classwise_calibration_error(probabilities, labels, bins=15),
        mean_confidence=confidence,
        overconfidence=confidence - correct,
        samples=len(predictions),
    )
