"""From a trained model to numbers: one shared forward pass, then evaluators that read its logits."""

from __future__ import annotations

from vsmooth.evaluate.clean import CleanMetrics, evaluate_clean
from vsmooth.evaluate.predict import predict
from vsmooth.evaluate.predictions import Predictions

__all__ = ["CleanMetrics", "Predictions", "evaluate_clean", "predict"]
