"""Pure functions from probabilities and labels to numbers; nothing here knows about models or files."""

from __future__ import annotations

from vsmooth.metrics.calibration import (
    ReliabilityBins,
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
    reliability_bins,
)
from vsmooth.metrics.scores import accuracy, brier_score, negative_log_likelihood, top_k_accuracy

__all__ = [
    "ReliabilityBins",
    "accuracy",
    "adaptive_calibration_error",
    "brier_score",
    "classwise_calibration_error",
    "expected_calibration_error",
    "negative_log_likelihood",
    "reliability_bins",
    "top_k_accuracy",
]
