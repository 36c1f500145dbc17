"""What a run and a comparison leave behind, as plain values: JSON and npz in, JSON out."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsmooth.experiments.json_files import read_json, write_json
from vsmooth.experiments.statistics import MeanStd, PairedDifference, mean_std, paired_difference
from vsmooth.labels import LabelSmoothing, OneHot, VirtualSmoothing

RECORD_FILE = "record.json"
SUMMARY_FILE = "summary.json"
PREDICTIONS_FILE = "predictions-test.npz"
SHORT_NAMES = {scheme.name: scheme.short_name for scheme in (OneHot, LabelSmoothing, VirtualSmoothing)}
SUMMARY_METRICS = ("accuracy", "ece", "nll", "brier", "mean_confidence")
SUMMARY_TIMES = ("train_seconds", "images_per_second")


def label_name(label: str, alpha: float, num_virtual: int, num_classes: int) -> str:
    """The short name of a label: "one-hot", "LS 0.1", "VS 0.3"; "VS 0.3 V=200" where V is not K."""
    short = SHORT_NAMES.get(label, label)
    count = f" V={num_virtual}" if num_virtual not in (0, num_classes) else ""
    return short if label == "one-hot" else f"{short} {alpha:g}{count}"


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: training loss on its own label (not comparable between labels), validation scores."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    images_per_second: float
    validation_accuracy: float
    validation_nll: float
    validation_ece: float
    validation_confidence: float


@dataclass(frozen=True)
class RunRecord:
    """One trained network: what was trained, its test scores (`metrics`) and its history.

    `folder` is relative to the comparison's directory. `selected_from` holds the candidates of an alpha
    that was chosen on the validation split.
    """

    label: str
    alpha: float
    num_virtual: int
    seed: int
    data: str
    model: str
    epochs: int
    parameters: int
    num_classes: int
    metrics: dict[str, float]
    train_seconds: float
    images_per_second: float
    history: tuple[EpochRecord, ...]
    folder: str
    selected_from: tuple[dict[str, float], ...] | None = None

    @property
    def name(self) -> str:
        return label_name(self.label, self.alpha, self.num_virtual, self.num_classes)

    def value(self, metric: str) -> float:
        """A test metric, or one of the two training times; NaN where the record has none."""
        found = getattr(self, metric) if metric in SUMMARY_TIMES else self.metrics.get(metric)
        return math.nan if found is None else float(found)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunRecord:
        """The record of a JSON object; ValueError names what is missing or unknown."""
        _check_fields(cls, value)
        selected = value["selected_from"]
        whole = ("num_virtual", "seed", "epochs", "parameters", "num_classes")
        numbers = {name: float(value[name]) for name in ("alpha", "train_seconds", "images_per_second")}
        return cls(**{
            **value,
            **{name: int(value[name]) for name in whole},
            **numbers,
            "metrics": _numbers(value["metrics"]),
            "history": tuple(_epoch(epoch) for epoch in value["history"]),
            "selected_from": None if selected is None else tuple(_numbers(row) for row in selected),
        })


@dataclass(frozen=True)
class Group:
    """The runs of one label and alpha, one per seed."""

    label: str
    alpha: float
    num_virtual: int
    runs: tuple[RunRecord, ...]

    @property
    def name(self) -> str:
        return self.runs[0].name

    def values(self, metric: str) -> list[float]:
        """The finite values of a metric, one per seed."""
        return [value for run in self.runs if math.isfinite(value := run.value(metric))]

    def summary(self, metric: str) -> MeanStd | None:
        return mean_std(values) if (values := self.values(metric)) else None

    def difference(self, other: Group, metric: str) -> PairedDifference | None:
        """`self - other` over the seeds that both have; None if they share none."""
        theirs = {run.seed: run.value(metric) for run in other.runs}
        pairs = [(run.value(metric), theirs[run.seed]) for run in self.runs if run.seed in theirs]
        pairs = [(ours, other) for ours, other in pairs if math.isfinite(ours) and math.isfinite(other)]
        return paired_difference([p[0] for p in pairs], [p[1] for p in pairs]) if pairs else None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs that differ in label and seed only, and how they came about; `directory` holds their folders."""

    runs: tuple[RunRecord, ...]
    command: str
    environment: dict[str, str]
    classes: tuple[str, ...]
    directory: Path = Path(".")

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("a comparison needs at least one finished run, got none")

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The runs by label and alpha, in order of first appearance."""
        found: dict[tuple[str, float, int], list[RunRecord]] = {}
        for run in self.runs:
            found.setdefault((run.label, run.alpha, run.num_virtual), []).append(run)
        return tuple(Group(*key, tuple(sorted(runs, key=lambda r: r.seed))) for key, runs in found.items())

    @property
    def baseline(self) -> Group | None:
        """The one-hot group."""
        return next((group for group in self.groups if group.label == "one-hot"), None)

    def difference(self, group: Group, metric: str) -> PairedDifference | None:
        """Paired difference from one-hot; None for one-hot itself and without a shared seed."""
        baseline = self.baseline
        return None if baseline is None or group.label == "one-hot" else group.difference(baseline, metric)

    def predictions(self, run: RunRecord) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Test logits (N, K) and labels (N,) of a run."""
        path = self.directory / run.folder / PREDICTIONS_FILE
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return arrays["logits"], arrays["labels"]
        except FileNotFoundError:
            remedy = f"`vsmooth evaluate {path.parent}` writes them"
            raise ValueError(f"no predictions at {path}; {remedy}") from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            remedy = f"`vsmooth evaluate {path.parent}` rewrites it"
            raise ValueError(f"{path} is damaged ({error}); {remedy}") from None


def write_record(record: RunRecord, folder: str | Path) -> Path:
    """Writes `folder/record.json`."""
    return write_json(Path(folder) / RECORD_FILE, record.to_json())


def read_record(folder: str | Path) -> RunRecord:
    """Reads `folder/record.json`; ValueError names the file."""
    path = Path(folder) / RECORD_FILE
    value = read_json(path)
    try:
        return RunRecord.from_json(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a run record: {error}") from None


def write_summary(comparison: Comparison, directory: str | Path) -> Path:
    """Writes `directory/summary.json`: one row per run, one aggregate per label and alpha."""
    return write_json(Path(directory) / SUMMARY_FILE, {
        "rows": [_row(run) for run in comparison.runs],
        "aggregate": [_aggregate(comparison, group) for group in comparison.groups],
        "command": comparison.command,
        "environment": comparison.environment,
        "classes": list(comparison.classes),
    })


def load_comparison(directory: str | Path) -> Comparison:
    """The comparison that `vsmooth compare --out directory` left; ValueError names what is missing."""
    directory = Path(directory)
    path = directory / SUMMARY_FILE
    if not path.is_file():
        raise ValueError(f"no {SUMMARY_FILE} in {directory}; `vsmooth compare --out {directory}` creates it")
    summary = read_json(path)
    try:
        folders = [str(row["folder"]) for row in summary["rows"]]
        texts = str(summary["command"]), dict(summary["environment"]), tuple(summary["classes"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a comparison's summary: {error} is missing") from None
    return Comparison(tuple(read_record(directory / folder) for folder in folders), *texts, directory)


def _row(run: RunRecord) -> dict[str, Any]:
    about = {name: getattr(run, name) for name in ("label", "alpha", "num_virtual", "seed")}
    measured = {name: run.value(name) for name in (*SUMMARY_METRICS, *SUMMARY_TIMES)}
    rest = ("data", "model", "epochs", "parameters", "num_classes", "folder")
    return {**about, **measured, **run.metrics, **{name: getattr(run, name) for name in rest}}


def _aggregate(comparison: Comparison, group: Group) -> dict[str, Any]:
    about = {"label": group.label, "alpha": group.alpha, "num_virtual": group.num_virtual}
    summaries = {name: group.summary(name) for name in (*SUMMARY_METRICS, *SUMMARY_TIMES)}
    differences = {name: comparison.difference(group, name) for name in SUMMARY_METRICS}
    found = {
        name: {"mean": difference.mean, "low": difference.low, "high": difference.high}
        for name, difference in differences.items()
        if difference is not None
    }
    return {
        **about,
        "seeds": len(group.runs),
        **{name: None if value is None else asdict(value) for name, value in summaries.items()},
        "difference_from_one_hot": found or None,
    }


def _check_fields(kind: type[Any], value: Mapping[str, Any]) -> None:
    known = {field.name for field in fields(kind)}
    if missing := sorted(known - value.keys()):
        raise ValueError(f"{', '.join(missing)} missing")
    if unknown := sorted(value.keys() - known):
        raise ValueError(f"unknown field {', '.join(unknown)}")


def _epoch(value: Mapping[str, Any]) -> EpochRecord:
    _check_fields(EpochRecord, value)
    return EpochRecord(**_numbers(value))


def _numbers(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: math.nan if item is None else item + 0 for key, item in value.items()}  # + 0: only a number
