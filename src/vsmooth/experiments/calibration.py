"""Calibration of a network before and after scaling: a record made from its saved logits."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vsmooth.evaluate import Predictions
from vsmooth.experiments.ownership import owned
from vsmooth.experiments.run import finished_record
from vsmooth.labels import LabelSmoothing
from vsmooth.metrics import (
    BootstrapInterval,
    TemperatureFit,
    VectorScalingFit,
    bootstrap_intervals,
    calibration_error_interval,
    fit_temperature,
    fit_vector_scaling,
    normalised_label_smoothing_probabilities,
    reliability_bins,
)
from vsmooth.metrics.bootstrap import BINNED_METRICS
from vsmooth.metrics.decomposition import weighted_covariance, weighted_variance
from vsmooth.metrics.weighted import unit_weights
from vsmooth.records.calibration import (
    NORMALISED,
    TEMPERATURE,
    TRAINED,
    VECTOR,
    CalibrationRecord,
    CalibrationSettings,
    Scores,
    read_calibration,
    write_calibration,
)
from vsmooth.records.run import PREDICTIONS, RunRecord, intact_predictions

_USUAL_BINS = (10, 15)
_REVISION = 1  # of the methods: with another one, stored records are computed anew
_BINNED: dict[str, Any] = {
    **BINNED_METRICS,
    "within_bin_variance": weighted_variance,
    "within_bin_covariance": weighted_covariance,
}


def evaluate_calibration(
    test: Predictions,
    validation: Predictions | None = None,
    *,
    normalise: bool = False,
    settings: CalibrationSettings | None = None,
) -> CalibrationRecord:
    """Everything of `CalibrationRecord` from the logits of the test split.

    Temperature and vector are fitted on `validation`, never on test. `normalise`: also the probabilities of a network
    trained with label smoothing without their floor (the paper's Sec. B). ValueError for splits of different width.
    """
    settings = settings or CalibrationSettings()
    temperature, vector = _fit(test, validation)
    # Called one by one: of many samples each table of probabilities is large.
    tables: dict[str, Callable[[], Tensor]] = {TRAINED: lambda: test.probabilities}
    if temperature is not None and temperature.converged:
        divisor = temperature.temperature
        tables[TEMPERATURE] = lambda: (test.logits.double() / divisor).softmax(1)
    if vector is not None and vector.converged:
        scaling = vector
        tables[VECTOR] = lambda: scaling.apply(test.logits).softmax(1)
    if normalise:
        tables[NORMALISED] = lambda: normalised_label_smoothing_probabilities(test.probabilities)
    scores = {name: _score(table(), test.labels, settings) for name, table in tables.items()}
    num_classes = test.logits.shape[1]
    counts = None if validation is None else validation.labels.bincount(minlength=num_classes)
    size = (None, None) if counts is None else (int(counts.sum()), int(counts.min()))
    return CalibrationRecord(settings, len(test), num_classes, scores, temperature, vector, *size)


def calibrate_run(folder: Path, settings: CalibrationSettings | None = None) -> CalibrationRecord:
    """Evaluate the saved predictions of a finished run and write `calibration.json` beside them.

    A record of the same predictions and settings is read back, so that many runs can be interrupted and gone on with.
    ValueError for a run that is not finished, for predictions that are missing or damaged, and where another process is
    writing the folder.
    """
    record = finished_record(folder)
    test, validation = (intact_predictions(folder, record, split) for split in ("test", "validation"))
    settings, origin = settings or CalibrationSettings(), _origin(record)
    stored = _stored(folder)
    if stored is not None and (stored.origin, stored.settings) == (origin, settings):
        return stored
    with owned(folder):
        found = evaluate_calibration(
            Predictions.load(test),
            Predictions.load(validation) if validation.is_file() else None,
            normalise=record.variant.objective.kind == LabelSmoothing.name,
            settings=settings,
        )
        found = replace(found, origin=origin)
        write_calibration(found, folder)
    return found


def _origin(record: RunRecord) -> str:
    """A fingerprint of the predictions, of the kind of label (which decides what is evaluated) and of the method."""
    digests = (record.digests.get(name, "") for name in PREDICTIONS.values())
    text = " ".join((str(_REVISION), record.variant.objective.kind, *digests))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stored(folder: Path) -> CalibrationRecord | None:
    try:
        return read_calibration(folder)
    except ValueError:
        return None  # damaged, or of another version: it is written anew


def _fit(test: Predictions, validation: Predictions | None) -> tuple[TemperatureFit | None, VectorScalingFit | None]:
    if validation is None:
        return None, None
    num_classes = test.logits.shape[1]
    if validation.logits.shape[1] != num_classes:
        raise ValueError(
            f"the validation logits have {validation.logits.shape[1]} classes but the test logits {num_classes}: both "
            "must come from one network"
        )
    # A class without a sample leaves its offset without an optimum.
    every_class = len(validation.labels.unique()) == num_classes
    vector = fit_vector_scaling(validation.logits, validation.labels) if every_class else None
    return fit_temperature(validation.logits, validation.labels), vector


def _score(probabilities: Tensor, labels: Tensor, settings: CalibrationSettings) -> Scores:
    sample = unit_weights(probabilities, labels)
    # Intervals of the other binned numbers would not cover (docs/results/statistics.md), so these have a value alone.
    found = {
        name: BootstrapInterval(float(metric(sample, settings.bins)), math.nan, math.nan)
        for name, metric in _BINNED.items()
    }
    chosen = settings.resamples, settings.level
    found |= bootstrap_intervals(probabilities, labels, resamples=settings.resamples, level=settings.level)
    found["debiased_ece"] = calibration_error_interval(probabilities, labels, "debiased_ece", settings.bins, *chosen)
    for bins in sorted({*_USUAL_BINS, settings.bins}):
        found[f"ece_{bins}"] = calibration_error_interval(probabilities, labels, "ece", bins, *chosen)
    return Scores(found, reliability_bins(probabilities, labels, settings.bins, settings.level))
