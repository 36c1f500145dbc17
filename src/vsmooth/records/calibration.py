"""How well a network's confidence fits, before and after scaling: the record of an evaluation of its logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsmooth.metrics import (
    BootstrapInterval,
    ReliabilityBins,
    TemperatureFit,
    VectorScalingFit,
)
from vsmooth.metrics.binning import check_level
from vsmooth.metrics.bootstrap import check_resamples
from vsmooth.metrics.inputs import check_bins
from vsmooth.records.json_files import read_json

CALIBRATION_FILE = "calibration.json"
TRAINED, TEMPERATURE, VECTOR, NORMALISED = "trained", "temperature", "vector", "normalised"
FEW, FEW_OF_A_CLASS = 100, 10  # validation samples


@dataclass(frozen=True)
class CalibrationSettings:
    """Number of bins of every binned metric; bootstrap resamples and the level of their intervals."""

    bins: int = 15
    resamples: int = 1000
    level: float = 0.95

    def __post_init__(self) -> None:
        check_bins(self.bins)
        check_level(self.level)
        check_resamples(self.resamples, self.level)

    @property
    def ece(self) -> str:
        """The name of the ECE with these bins among the metrics."""
        return f"ece_{self.bins}"


@dataclass(frozen=True, eq=False)
class Scores:
    """One set of test probabilities: metrics by name, with intervals over the samples, and the reliability diagram.

    Binned metrics other than the ECE and the debiased ECE have no interval: its ends are NaN.
    """

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


def read_calibration(folder: Path) -> CalibrationRecord | None:
    """What `calibrate_run` wrote in `folder`; None if it did not; ValueError for a file that is something else."""
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        return CalibrationRecord.from_json(read_json(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a calibration record ({error}); `vsmooth calibrate` writes it anew") from None


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
