"""What a run leaves behind, as plain values: JSON in, JSON out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PureWindowsPath
from typing import Any

from vsmooth.digests import check_digest
from vsmooth.labels import LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.records.json_files import read_json, write_json
from vsmooth.records.teacher import TeacherRecord

RECORD_FILE = "record.json"
WEIGHTS_FILE = "model.safetensors"
PREDICTIONS = {"test": "predictions-test.npz", "validation": "predictions-validation.npz"}
SHORT_NAMES = {scheme.name: scheme.short_name for scheme in (OneHot, LabelSmoothing, VirtualSmoothing)}
SUMMARY_TIMES = ("train_seconds", "images_per_second")
TEACHER_METRICS = ("teacher_accuracy", "teacher_agreement", "teacher_divergence")


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

    `folder` is the run's own name in the comparison's directory. `digests`: SHA-256 of its weights and predictions, by
    file name. `selected_from` holds the candidates of an alpha
    that was chosen on the validation split. `teacher`: of a student that was taught; its `metrics` then hold
    the teacher's test accuracy, agreement with it and KL(teacher || student) in nats.
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
    teacher: TeacherRecord | None = None
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the label, or of the teacher: "VS 0.3", "KD from VS 0.3"; both where the student has a smoothed label."""
        own = label_name(self.label, self.alpha, self.num_virtual, self.num_classes)
        if self.teacher is None:
            return own
        return f"KD from {self.teacher.name}" + ("" if self.label == OneHot.name else f", {own}")

    def value(self, metric: str) -> float:
        """A test metric, or one of the two training times; NaN where the record has none."""
        found = getattr(self, metric) if metric in SUMMARY_TIMES else self.metrics.get(metric)
        return math.nan if found is None else float(found)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunRecord:
        """The record of a JSON object; ValueError names what is missing or unknown."""
        value = {"teacher": None, "digests": {}, **value}  # records are older than teachers and digests
        _check_fields(cls, value)
        selected, teacher = value["selected_from"], value["teacher"]
        whole = ("num_virtual", "seed", "epochs", "parameters", "num_classes")
        numbers = {name: float(value[name]) for name in ("alpha", "train_seconds", "images_per_second")}
        return cls(**{
            **value,
            **{name: int(value[name]) for name in whole},
            **numbers,
            "metrics": _numbers(value["metrics"]),
            "history": tuple(_epoch(epoch) for epoch in value["history"]),
            "selected_from": None if selected is None else tuple(_numbers(row) for row in selected),
            "teacher": None if teacher is None else TeacherRecord.from_json(teacher),
            "digests": {str(name): str(digest) for name, digest in value["digests"].items()},
        })


def write_record(record: RunRecord, folder: str | Path) -> Path:
    """Writes `folder/record.json`."""
    return write_json(Path(folder) / RECORD_FILE, record.to_json())


def read_record(folder: str | Path) -> RunRecord:
    """Reads `folder/record.json`; ValueError names the file, also where the record's folder is not a plain name."""
    path = Path(folder) / RECORD_FILE
    value = read_json(path)
    try:
        record = RunRecord.from_json(value)
        check_name(record.folder)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a run record: {error}") from None
    return record


def read_run(directory: str | Path, name: str) -> RunRecord:
    """The record of the run in the folder `name` of `directory`; ValueError for that of another folder."""
    check_name(name)
    record = read_record(Path(directory, name))
    if record.folder != name:
        raise ValueError(
            f"{Path(directory, name, RECORD_FILE)} is of the run {record.folder}, not of {name}: give the folder its "
            "own name, or train again"
        )
    return record


def check_name(folder: str) -> None:
    """ValueError unless `folder` is the name of a folder, which leads nowhere else: no path, no "..", no drive."""
    if not isinstance(folder, str) or folder in ("", ".", "..") or PureWindowsPath(folder).name != folder:
        raise ValueError(f"the folder of a run must be its own name, not a path, got {folder!r}")


def intact_weights(folder: Path, record: RunRecord) -> Path:
    """The weights of a run, which are those that it was evaluated with; DamagedFileError where they are not."""
    remedy = f"put back a copy of it, or delete {folder} and train again"
    return check_digest(folder / WEIGHTS_FILE, record.digests, folder / RECORD_FILE, remedy)


def intact_predictions(folder: Path, record: RunRecord, split: str = "test") -> Path:
    """The predictions of a run on a split, which are those of its record; DamagedFileError where they are not."""
    remedy = f"`vsmooth evaluate {folder}` writes it anew"
    return check_digest(folder / PREDICTIONS[split], record.digests, folder / RECORD_FILE, remedy)


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
