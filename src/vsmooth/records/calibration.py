"""Record of a calibration: errors of a network's confidence before and after scaling, from its logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vsmooth.metrics import (
    BootstrapInterval,
    ReliabilityBins,
    TemperatureFit,
    VectorScalingFit,
)
from vsmooth.metrics.binning import check_level
from vsmooth.metrics.bootstrap import check_resamples
from vsmooth.metrics.inputs import check_bins
from vsmooth.records.bounds import METRIC_RANGES, Count, NumClasses, Positive
from vsmooth.records.json_files import RecordFile

CALIBRATION_FILE = "calibration.json"
TRAINED, TEMPERATURE, VECTOR, NORMALISED = "trained", "temperature", "vector", "normalised"
FEW, FEW_OF_A_CLASS = 100, 10  # validation samples


@dataclass(frozen=True)
class CalibrationSettings:
    """Number of bins of every binned metric; bootstrap resamples and the level of their intervals."""

    bins: int = 15
    resamples: Positive = 1000
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
    validation_samples, fewest_of_a_class: the size of that split (None: there was none). origin: fingerprint of the
    predictions that all of it was computed from; "" for logits that are of no run.
    """

    settings: CalibrationSettings
    samples: Positive
    num_classes: NumClasses
    scores: Mapping[str, Scores]
    temperature: TemperatureFit | None = None
    vector: VectorScalingFit | None = None
    validation_samples: Count | None = None
    fewest_of_a_class: Count | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        if TRAINED not in self.scores or not self.scores.keys() <= {TRAINED, TEMPERATURE, VECTOR, NORMALISED}:
            raise ValueError(f"scores must be of {TRAINED!r} and what was scaled, got {', '.join(self.scores)[:100]}")
        for name, scores in self.scores.items():
            if len(scores.diagram.counts) != self.settings.bins:
                raise ValueError(f"diagram {name!r} has {len(scores.diagram.counts)} bins, not {self.settings.bins}")
        if self.vector is not None and len(self.vector.scale) != self.num_classes:
            raise ValueError(f"vector has {len(self.vector.scale)} factors for {self.num_classes} classes")

    def check_stored(self) -> None:
        """ValueError for a metric that is outside its range."""
        for name, scores in self.scores.items():
            try:
                METRIC_RANGES.check({metric: found.value for metric, found in scores.metrics.items()})
            except ValueError as error:
                raise ValueError(f"scores {name!r}: {error}") from None

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


_FILE = RecordFile(CALIBRATION_FILE, CalibrationRecord, "`vsmooth calibrate` writes it anew")


def write_calibration(record: CalibrationRecord, folder: Path) -> Path:
    """Writes `folder/calibration.json`."""
    return _FILE.write(record, folder)


def read_calibration(folder: Path) -> CalibrationRecord | None:
    """What `calibrate_run` wrote in `folder`; None if it did not; ValueError for a file that is something else."""
    return _FILE.find(folder)
