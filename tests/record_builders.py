"""Records of runs for tests, from the few values that a test is about."""

from __future__ import annotations

from typing import Any

from vsmooth.records.comparison import Group
from vsmooth.records.objective import ONE_HOT, ObjectiveRecord
from vsmooth.records.run import EpochRecord, RunRecord
from vsmooth.records.teacher import TeacherRecord
from vsmooth.records.variant import MethodRecord, Variant

SHORT = {"label-smoothing": "LS", "virtual-smoothing": "VS"}


def objective_of(
    kind: str = "one-hot", alpha: float = 0.0, num_virtual: int = 0, num_classes: int = 0
) -> ObjectiveRecord:
    if kind == "one-hot":
        return ONE_HOT
    short = SHORT[kind]
    count = f" V={num_virtual}" if num_virtual not in (0, num_classes or num_virtual) else ""
    return ObjectiveRecord(f"{short.lower()}:{alpha:g}", kind, f"{short} {alpha:g}{count}", alpha, num_virtual)


def teacher_of(
    name: str, origin: str, fingerprint: str, label: str = "", alpha: float = 0.0, model: str = ""
) -> TeacherRecord:
    return TeacherRecord(name, origin, fingerprint, objective_of(label, alpha) if label else None, model)


def variant(objective: ObjectiveRecord = ONE_HOT, teacher: TeacherRecord | None = None, method: str = "") -> Variant:
    return Variant(objective, MethodRecord("KD" if teacher and not method else method), teacher=teacher)


def group_of(kind: str = "one-hot", alpha: float = 0.0, runs: tuple[RunRecord, ...] = (), plain: bool = False) -> Group:
    return Group(variant(objective_of(kind, alpha)), runs, plain)


def run_record(
    label: str, alpha: float, num_virtual: int, seed: int, data: str, model: str, epochs: int, parameters: int,
    num_classes: int, metrics: dict[str, float], seconds: float, speed: float, history: tuple[EpochRecord, ...],
    folder: str, teacher: TeacherRecord | None = None, **more: Any,
) -> RunRecord:  # fmt: skip
    objective = objective_of(label, alpha, num_virtual, num_classes)
    return RunRecord(
        variant(objective, teacher), seed, data, model, epochs, parameters, num_classes, metrics, seconds, speed,
        history, folder, **more,
    )  # fmt: skip


def epoch_record(
    epoch: int, loss: float, rate: float, seconds: float, speed: float, accuracy: float, nll: float, ece: float,
    confidence: float,
) -> EpochRecord:  # fmt: skip
    scores = {"accuracy": accuracy, "nll": nll, "ece": ece, "mean_confidence": confidence}
    return EpochRecord(epoch, loss, rate, seconds, speed, scores, {})
