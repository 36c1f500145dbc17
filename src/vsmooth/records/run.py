"""The record of a run as plain values, written and read as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Literal

from vsmooth.digests import check_digest
from vsmooth.records.bounds import Count, Metrics, NotNegative, NumClasses, Positive, Share
from vsmooth.records.json_files import RecordFile
from vsmooth.records.teacher import TeacherRecord
from vsmooth.records.variant import Variant

RECORD_FILE = "record.json"
WEIGHTS_FILE = "model.safetensors"
BEST_WEIGHTS_FILE = "model-best.safetensors"
PREDICTIONS = {"test": "predictions-test.npz", "validation": "predictions-validation.npz"}
SUMMARY_TIMES = ("train_seconds", "images_per_second")
BEST = "best_"  # before the name of a metric: of the weights of the best epoch
ROBUST_METRICS = ("robust_accuracy", "fgsm_accuracy", "best_accuracy", "best_robust_accuracy")
TEACHER_METRICS = ("teacher_accuracy", "teacher_agreement", "teacher_divergence")


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    loss: mean training loss (of different objectives, not comparable). learning_rate: of the last step. seconds,
    images_per_second: of the training steps. validation: metrics on the validation split, by name. parts: of the loss,
    by name, means over the epoch.
    """

    epoch: Positive
    loss: float
    learning_rate: NotNegative
    seconds: NotNegative
    images_per_second: NotNegative
    validation: Metrics
    parts: dict[str, float]


@dataclass(frozen=True)
class Candidate:
    """One objective of those among which the parameter was chosen on the validation split."""

    name: str
    parameter: float
    nll: NotNegative
    accuracy: Share


@dataclass(frozen=True)
class BestEpoch:
    """The epoch with the highest value of a metric on the validation split, whose weights are kept beside the last.

    epoch: counted from 1. metric: that selected it. metrics: of its weights on the test split, by name.
    """

    epoch: Count
    metric: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class RunRecord:
    """One trained network: what was trained, its test scores (`metrics`) and its history.

    `folder` is the run's own name in the comparison's directory. `digests`: SHA-256 of its weights and predictions, by
    file name. `selected_from` holds the candidates of a parameter that was chosen on the validation split. Of a student
    that was taught `metrics` also hold the teacher's test accuracy, agreement with it and KL(teacher || student) in
    nats. `best`: the epoch whose weights are kept in `model-best.safetensors`, where a metric selects one. `notices`:
    what was found during training that a reader should know. `environments`: versions, device, threads, date and more
    of each sitting: the first, and each that resumed it.
    """

    variant: Variant
    seed: Count
    data: str
    model: str
    epochs: Count
    parameters: Count
    num_classes: NumClasses
    metrics: Metrics
    train_seconds: NotNegative
    images_per_second: NotNegative
    history: tuple[EpochRecord, ...]
    folder: str
    selected_from: tuple[Candidate, ...] | None = None
    digests: dict[str, str] = field(default_factory=dict)
    environments: tuple[dict[str, str], ...] = ()
    best: BestEpoch | None = None
    notices: tuple[str, ...] = ()

    def check_stored(self) -> None:
        """ValueError unless the history holds every epoch; a training that keeps its best epoch may end earlier."""
        if self.best is None:
            check_epochs(self.history, self.epochs)
            return
        check_epochs(self.history, min(self.epochs, len(self.history)))
        if not 1 <= self.best.epoch <= len(self.history):
            raise ValueError(f"best.epoch must be one of the {len(self.history)} epochs, got {self.best.epoch}")

    @property
    def name(self) -> str:
        """Of its variant: "VS 0.3", "KD from VS 0.3"."""
        return self.variant.name

    @property
    def teacher(self) -> TeacherRecord | None:
        """Who taught it."""
        return self.variant.teacher

    def value(self, metric: str) -> float:
        """A test metric, or one of the two training times; NaN where the record has none.

        "best_accuracy" and others of that form are of the best epoch's weights.
        """
        if metric.startswith(BEST):
            found = None if self.best is None else self.best.metrics.get(metric.removeprefix(BEST))
        else:
            found = getattr(self, metric) if metric in SUMMARY_TIMES else self.metrics.get(metric)
        return math.nan if found is None else float(found)


def check_epochs(history: Sequence[EpochRecord], epochs: int) -> None:
    """ValueError unless `history` holds the epochs 1 to `epochs`, each once and in order."""
    if [record.epoch for record in history] != list(range(1, len(history) + 1)) or len(history) != epochs:
        raise ValueError(f"history must hold the epochs 1 to {epochs} in order, got {len(history)}")


_FILE = RecordFile(RECORD_FILE, RunRecord)


def write_record(record: RunRecord, folder: str | Path) -> Path:
    """Writes `folder/record.json`."""
    return _FILE.write(record, folder)


def read_record(folder: str | Path) -> RunRecord:
    """Reads `folder/record.json`; ValueError names the file and the field, also a folder that is not a plain name."""
    record = _FILE.read(folder)
    try:
        check_name(record.folder)
    except ValueError as error:
        raise ValueError(f"{Path(folder) / RECORD_FILE} is damaged: folder: {error}") from None
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
    if folder in ("", ".", "..") or PureWindowsPath(folder).name != folder:
        raise ValueError(f"the folder of a run must be its own name, not a path, got {folder!r}")


Checkpoint = Literal["last", "best"]


def intact_weights(folder: Path, record: RunRecord, checkpoint: Checkpoint = "last") -> Path:
    """The weights of a run, which are those that it was evaluated with.

    DamagedFileError where they are not; ValueError for the best ones of a run that kept none.
    """
    if checkpoint == "best" and record.best is None:
        raise ValueError(f"{folder} kept no best checkpoint: only methods that watch a metric do; take the last one")
    remedy = f"put back a copy of it, or delete {folder} and train again"
    name = BEST_WEIGHTS_FILE if checkpoint == "best" else WEIGHTS_FILE
    return check_digest(folder / name, record.digests, folder / RECORD_FILE, remedy)


def intact_predictions(folder: Path, record: RunRecord, split: str = "test") -> Path:
    """The predictions of a run on a split, which are those of its record; DamagedFileError where they are not."""
    remedy = f"`vsmooth evaluate {folder}` writes it anew"
    return check_digest(folder / PREDICTIONS[split], record.digests, folder / RECORD_FILE, remedy)
