"""Metrics as pure functions of probabilities and labels; nothing here depends on models or files."""

from __future__ import annotations

from vsmooth.metrics.binned_intervals import calibration_error_interval
from vsmooth.metrics.binning import ReliabilityBins, reliability_bins
from vsmooth.metrics.bootstrap import CALIBRATION_METRICS, MEAN_METRICS, BootstrapInterval, bootstrap_intervals
from vsmooth.metrics.calibration import (
    ConfidenceGaps,
    adaptive_calibration_error,
    classwise_calibration_error,
    confidence_gaps,
    debiased_calibration_error,
    expected_calibration_error,
)
from vsmooth.metrics.decomposition import BrierDecomposition, brier_decomposition
from vsmooth.metrics.detection import DETECTION_METRICS, detection_metrics
from vsmooth.metrics.detection_intervals import detection_intervals
from vsmooth.metrics.fidelity import Fidelity, fidelity
from vsmooth.metrics.geometry import ClusterShape, cluster_shape, distance_variation, linear_cka
from vsmooth.metrics.human_labels import (
    check_agreement,
    human_confusion,
    human_distributions,
    human_divergence,
    image_rank_correlation,
    pair_rank_correlation,
)
from vsmooth.metrics.normalised import normalised_label_smoothing_probabilities
from vsmooth.metrics.plane import Plane, between_share, choose_classes, plane_basis
from vsmooth.metrics.resampling import bootstrap_statistic, excludes_zero, jackknife_statistic
from vsmooth.metrics.saliency import MapOverlap, map_overlap, saliency
from vsmooth.metrics.scores import accuracy, brier_score, negative_log_likelihood, top_k_accuracy
from vsmooth.metrics.selective import RiskCoverage, risk_coverage, selective_metrics
from vsmooth.metrics.similarity import (
    LogitSpread,
    class_similarity,
    mean_confusion,
    pair_values,
    template_cosine,
    wrong_logit_spread,
)
from vsmooth.metrics.temperature import TemperatureFit, TemperatureScaled, fit_temperature
from vsmooth.metrics.vector_scaling import VectorScalingFit, fit_vector_scaling
from vsmooth.metrics.virtual_mass import (
    TemplateDistances,
    VirtualDiagnostics,
    mass_verdict,
    template_distances,
    virtual_diagnostics,
    virtual_entropy,
    virtual_mass,
    virtual_top,
)

__all__ = [
    "CALIBRATION_METRICS",
    "DETECTION_METRICS",
    "MEAN_METRICS",
    "BootstrapInterval",
    "BrierDecomposition",
    "ClusterShape",
    "ConfidenceGaps",
    "Fidelity",
    "LogitSpread",
    "MapOverlap",
    "Plane",
    "ReliabilityBins",
    "RiskCoverage",
    "TemperatureFit",
    "TemperatureScaled",
    "TemplateDistances",
    "VectorScalingFit",
    "VirtualDiagnostics",
    "accuracy",
    "adaptive_calibration_error",
    "between_share",
    "bootstrap_intervals",
    "bootstrap_statistic",
    "brier_decomposition",
    "brier_score",
    "calibration_error_interval",
    "check_agreement",
    "choose_classes",
    "class_similarity",
    "classwise_calibration_error",
    "cluster_shape",
    "confidence_gaps",
    "debiased_calibration_error",
    "detection_intervals",
    "detection_metrics",
    "distance_variation",
    "excludes_zero",
    "expected_calibration_error",
    "fidelity",
    "fit_temperature",
    "fit_vector_scaling",
    "human_confusion",
    "human_distributions",
    "human_divergence",
    "image_rank_correlation",
    "jackknife_statistic",
    "linear_cka",
    "map_overlap",
    "mass_verdict",
    "mean_confusion",
    "negative_log_likelihood",
    "normalised_label_smoothing_probabilities",
    "pair_rank_correlation",
    "pair_values",
    "plane_basis",
    "reliability_bins",
    "risk_coverage",
    "saliency",
    "selective_metrics",
    "template_cosine",
    "template_distances",
    "top_k_accuracy",
    "virtual_diagnostics",
    "virtual_entropy",
    "virtual_mass",
    "virtual_top",
    "wrong_logit_spread",
]
