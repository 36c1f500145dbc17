"""Evaluation of a trained model: one shared forward pass, then evaluators that use its logits."""

from __future__ import annotations

from vsmooth.evaluate.clean import CleanMetrics, evaluate_clean
from vsmooth.evaluate.corrupted import evaluate_corrupted
from vsmooth.evaluate.gather import gather_predictions, part_of
from vsmooth.evaluate.predict import predict
from vsmooth.evaluate.representation.features import collect
from vsmooth.evaluate.representation.input_gradients import choose_outputs, input_gradients, integrated_gradients
from vsmooth.evaluate.representation.similarity import cka_matrix, evaluate_similarity
from vsmooth.evaluate.robust.cascade import Column, Sharing
from vsmooth.evaluate.robust.columns import Budget, paper_columns
from vsmooth.evaluate.robust.evaluation import Evaluation, RobustResult, evaluate_robust
from vsmooth.evaluate.robust.parts import FolderParts, Parts
from vsmooth.evaluate.robust.sanity import SanityChecks, evaluate_sanity
from vsmooth.evaluate.robust.targets import Targets, attack_target
from vsmooth.records.features import Features
from vsmooth.records.inspection import SimilarityMetrics
from vsmooth.records.predictions import Predictions
from vsmooth.records.sanity import SanityReport, findings
from vsmooth.records.shift import CorruptedMetrics
from vsmooth.records.standing import Standing

__all__ = [
    "Budget",
    "CleanMetrics",
    "Column",
    "CorruptedMetrics",
    "Evaluation",
    "Features",
    "FolderParts",
    "Parts",
    "Predictions",
    "RobustResult",
    "SanityChecks",
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
