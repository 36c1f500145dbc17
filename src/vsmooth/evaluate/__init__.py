"""From a trained model to numbers: one shared forward pass, then evaluators that read its logits."""

from __future__ import annotations

from vsmooth.evaluate.clean import CleanMetrics, evaluate_clean
from vsmooth.evaluate.corrupted import CorruptedMetrics, evaluate_corrupted
from vsmooth.evaluate.features import Features, collect
from vsmooth.evaluate.gather import gather_predictions, part_of
from vsmooth.evaluate.input_gradients import choose_outputs, input_gradients, integrated_gradients
from vsmooth.evaluate.predict import predict
from vsmooth.evaluate.predictions import Predictions
from vsmooth.evaluate.representation import SimilarityMetrics, cka_matrix, evaluate_similarity

__all__ = [
    "CleanMetrics",
    "CorruptedMetrics",
    "Features",
    "Predictions",
    "SimilarityMetrics",
    "choose_outputs",
    "cka_matrix",
    "collect",
    "evaluate_clean",
    "evaluate_corrupted",
    "evaluate_similarity",
    "gather_predictions",
    "input_gradients",
    "integrated_gradients",
    "part_of",
    "predict",
]
