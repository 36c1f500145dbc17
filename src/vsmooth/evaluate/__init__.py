"""From a trained model to numbers: one shared forward pass, then evaluators that read its logits."""

from __future__ import annotations

from vsmooth.evaluate.cascade import Column, Sharing
from vsmooth.evaluate.clean import CleanMetrics, evaluate_clean
from vsmooth.evaluate.corrupted import CorruptedMetrics, evaluate_corrupted
from vsmooth.evaluate.features import Features, collect
from vsmooth.evaluate.gather import gather_predictions, part_of
from vsmooth.evaluate.input_gradients import choose_outputs, input_gradients, integrated_gradients
from vsmooth.evaluate.parts import FolderParts, Parts
from vsmooth.evaluate.predict import predict
from vsmooth.evaluate.predictions import Predictions
from vsmooth.evaluate.representation import SimilarityMetrics, cka_matrix, evaluate_similarity
from vsmooth.evaluate.robust import RobustResult, evaluate_robust
from vsmooth.evaluate.robust_columns import Budget, paper_columns
from vsmooth.evaluate.sanity import evaluate_sanity
from vsmooth.evaluate.sanity_report import SanityReport, findings
from vsmooth.evaluate.standing import Standing
from vsmooth.evaluate.targets import Targets, attack_target

__all__ = [
    "Budget",
    "CleanMetrics",
    "Column",
    "CorruptedMetrics",
    "Features",
    "FolderParts",
    "Parts",
    "Predictions",
    "RobustResult",
    "SanityReport",
    "Sharing",
    "SimilarityMetrics",
    "Standing",
    "Targets",
    "attack_target",
    "choose_outputs",
    "cka_matrix",
    "collect",
    "evaluate_clean",
    "evaluate_corrupted",
    "evaluate_robust",
    "evaluate_sanity",
    "evaluate_similarity",
    "findings",
    "gather_predictions",
    "input_gradients",
    "integrated_gradients",
    "paper_columns",
    "part_of",
    "predict",
]
