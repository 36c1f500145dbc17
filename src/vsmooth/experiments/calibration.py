"""How well a network's confidence fits, before and after scaling: a record made from its saved logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsmooth.evaluate import Predictions
from vsmooth.experiments.json_files import read_json, write_json
from vsmooth.experiments.results import PREDICTIONS
from vsmooth.experiments.run import finished_record
from vsmooth.labels import LabelSmoothing
from vsmooth.metrics import (
    CALIBRATION_METRICS,
    BootstrapInterval,
    ReliabilityBins,
    TemperatureFit,
    VectorScalingFit,
    bootstrap_intervals,
    fit_temperature,
    fit_vector_scaling,
    normalised_label_smoothing_probabilities,
    reliability_bins,
)
from vsmooth.metrics.binning import check_level
from vsmooth.metrics.bootstrap import BINNED_METRICS
from vsmooth.metrics.calibration import weighted_ece
from vsmooth.metrics.decomposition import weighted_covariance, weighted_variance
from vsmooth.metrics.inputs import check_bins
from vsmooth.metrics.weighted import Metric

CALIBRATION_FILE = "calibration.json"
TRAINED, TEMPERATURE, VECTOR, NORMALISED = "trained", "temperature", "vector", "normalised"
_USUAL_BINS = (10, 15)
FEW, FEW_OF_A_CLASS = 100, 10  # validation samples
_BINNED: dict[str, Any] = {
    **BINNED_METRICS,
    "within_bin_variance": weighted_variance,
    "within_bin_covariance": weighted_covariance,
}


@dataclass(frozen=True)
class CalibrationSettings:
    """Number of bins of every binned metric; bootstrap resamples and the level of their intervals."""

    bins: int = 15
    resamples: int = 1000
    level: float = 0.95

    def __post_init__(self) -> None:
        check_bins(self.bins)
        check_level(self.level)

    @property
    def ece(self) -> str:
        """The name of the ECE with these bins among the metrics."""
        return f"ece_{self.bins}"


@dataclass(frozen=True, eq=False)
class Scores:
    """One set of test probabilities: metrics by name, with intervals over the samples, and the reliability diagram."""

    metrics: Mapping[str, BootstrapInterval]
    diagram: ReliabilityBins


@dataclass(frozen=True, eq=False)
class CalibrationRecord:
    """Test scores as "trained", and after "temperature" and "vector" scaling and "normalised" label smoothing.

    The fits were made on the validation split; None, and no scores, where there was none or it has no optimum.
    validation_samples, fewest_of_a_class: the size of that split (None: there was none, or the record is older).
    """

    settings: CalibrationSettings
    samples: int
    num_classes: int
    scores: Mapping[str, Scores]
    temperature: TemperatureFit | None = None
    vector: VectorScalingFit | None = None
    validation_samples: int | None = None
    fewest_of_a_class: int | None = None

    @property
    def has_few_samples(self) -> bool:
        """Whether the validation split is too small to trust what was fitted on it.

        Under FEW samples the fitted log T misses the best one by a standard deviation of 0.1 and more; with under
        FEW_OF_A_CLASS of a class the 2 K numbers of vector scaling over-fit so far that they may do more harm than good
        (simulated, 10 classes; ten events for each number is also the rule of Peduzzi et al. 1996).
        """
        few = self.validation_samples is not None and self.validation_samples < FEW
        return few or (self.fewest_of_a_class is not None and self.fewest_of_a_class < FEW_OF_A_CLASS)

    def value(self, metric: str, of: str = TRAINED) -> float:
        """A test metric; "ece" is the one with the bins of the settings. NaN where the record has none."""
        name = self.settings.ece if metric == "ece" else metric
        found = self.scores[of].metrics.get(name) if of in self.scores else None
        return math.nan if found is None else found.value

    def to_json(self) -> dict[str, Any]:
        return {
            "settings": asdict(self.settings),
            "samples": self.samples,
            "num_classes": self.num_classes,
            "scores": {name: _scores_to_json(scores) for name, scores in self.scores.items()},
            "temperature": None if self.temperature is None else asdict(self.temperature),
            "vector": None if self.vector is None else _plain(self.vector),
            "validation_samples": self.validation_samples,
            "fewest_of_a_class": self.fewest_of_a_class,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CalibrationRecord:
        """Undo `to_json`; KeyError, TypeError or ValueError for something else."""
        vector = value["vector"]
        return cls(
            CalibrationSettings(**value["settings"]),
            int(value["samples"]),
            int(value["num_classes"]),
            {name: _scores_from_json(scores) for name, scores in value["scores"].items()},
            None if value["temperature"] is None else TemperatureFit(**value["temperature"]),
            None if vector is None else VectorScalingFit(
                **{**vector, "scale": _tensor(vector["scale"]), "bias": _tensor(vector["bias"])}
            ),
            value.get("validation_samples"),
            value.get("fewest_of_a_class"),
        )


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

    ValueError for a run that is not finished and for predictions that are missing or damaged.
    """
    record = finished_record(folder)
    validation = folder / PREDICTIONS["validation"]
    found = evaluate_calibration(
        Predictions.load(folder / PREDICTIONS["test"]),
        Predictions.load(validation) if validation.is_file() else None,
        normalise=record.label == LabelSmoothing.name,
        settings=settings,
    )
    write_json(folder / CALIBRATION_FILE, found.to_json())
    return found


def read_calibration(folder: Path) -> CalibrationRecord | None:
    """What `calibrate_run` wrote in `folder`; None if it did not; ValueError for a file that is something else."""
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        return CalibrationRecord.from_json(read_json(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a calibration record ({error}); `vsmooth calibrate` writes it anew") from None


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
    metrics: dict[str, Metric] = {name: CALIBRATION_METRICS[name] for name in ("accuracy", "nll", "brier")}
    for bins in sorted({*_USUAL_BINS, settings.bins}):
        metrics[f"ece_{bins}"] = partial(weighted_ece, bins=bins)
    metrics |= {name: partial(metric, bins=settings.bins) for name, metric in _BINNED.items()}
    return Scores(
        bootstrap_intervals(probabilities, labels, metrics, settings.resamples, settings.level),
        reliability_bins(probabilities, labels, settings.bins, settings.level),
    )


def _scores_to_json(scores: Scores) -> dict[str, Any]:
    intervals = {name: asdict(interval) for name, interval in scores.metrics.items()}
    return {"metrics": intervals, "diagram": _plain(scores.diagram)}


def _scores_from_json(value: Mapping[str, Any]) -> Scores:
    intervals = {
        name: BootstrapInterval(*(math.nan if end is None else float(end) for end in interval.values()))
        for name, interval in value["metrics"].items()
    }
    diagram = {name: _tensor(items) for name, items in value["diagram"].items()}
    return Scores(intervals, ReliabilityBins(**{**diagram, "counts": diagram["counts"].long()}))


def _plain(found: ReliabilityBins | VectorScalingFit) -> dict[str, Any]:
    values = {item.name: getattr(found, item.name) for item in fields(found)}
    return {name: value.tolist() if isinstance(value, Tensor) else value for name, value in values.items()}


def _tensor(values: list[float | None]) -> Tensor:
    return torch.tensor([math.nan if value is None else float(value) for value in values], dtype=torch.float64)
