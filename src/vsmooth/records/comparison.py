"""Runs that differ in label or teacher and seed, grouped and compared; what a comparison leaves behind."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsmooth.labels import OneHot
from vsmooth.records.json_files import read_json, write_json
from vsmooth.records.run import (
    RECORD_FILE,
    SUMMARY_TIMES,
    TEACHER_METRICS,
    RunRecord,
    intact_predictions,
    read_run,
)
from vsmooth.records.statistics import MeanStd, PairedDifference, mean_std, paired_difference
from vsmooth.records.teacher import TeacherRecord

SUMMARY_FILE = "summary.json"
SUMMARY_METRICS = ("accuracy", "ece", "nll", "brier", "mean_confidence")


@dataclass(frozen=True)
class Group:
    """The runs of one label, alpha and teacher, one per seed; `plain`: without a teacher where others have one."""

    label: str
    alpha: float
    num_virtual: int
    runs: tuple[RunRecord, ...]
    plain: bool = False

    @property
    def name(self) -> str:
        """The name of its runs; "plain" for students without a teacher, with their label if it is smoothed."""
        own = self.runs[0].name
        if not self.plain:
            return own
        return "plain" if self.label == OneHot.name else f"plain, {own}"

    @property
    def teacher(self) -> TeacherRecord | None:
        """Who taught these students."""
        return self.runs[0].teacher if self.runs else None

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
    """Runs that differ in label and seed only, and how they came about; `directory` holds their folders.

    Or in teacher and seed: then the students without one are the baseline, in place of the one-hot networks.
    """

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
        """The runs by label, alpha and teacher, in order of first appearance."""
        found: dict[tuple[str, float, int, TeacherRecord | None], list[RunRecord]] = {}
        for run in self.runs:
            found.setdefault((run.label, run.alpha, run.num_virtual, run.teacher), []).append(run)
        return tuple(
            Group(label, alpha, virtual, _by_seed(runs), plain=self.has_teachers and teacher is None)
            for (label, alpha, virtual, teacher), runs in found.items()
        )

    @property
    def has_teachers(self) -> bool:
        """Whether it is teachers that are compared."""
        return any(run.teacher is not None for run in self.runs)

    @property
    def baseline(self) -> Group | None:
        """The one-hot group; where teachers are compared, the students without one."""
        return next((group for group in self.groups if self._is_baseline(group)), None)

    @property
    def baseline_name(self) -> str:
        """What differences are taken from, in words."""
        return "no teacher" if self.has_teachers else OneHot.name

    def _is_baseline(self, group: Group) -> bool:
        return group.plain if self.has_teachers else group.label == OneHot.name

    def difference(self, group: Group, metric: str) -> PairedDifference | None:
        """Paired difference from the baseline; None for the baseline itself and without a shared seed."""
        baseline = self.baseline
        return None if baseline is None or self._is_baseline(group) else group.difference(baseline, metric)

    def predictions(self, run: RunRecord) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Test logits (N, K) and labels (N,) of a run."""
        path = intact_predictions(self.directory / run.folder, run)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return arrays["logits"], arrays["labels"]
        except FileNotFoundError:
            remedy = f"`vsmooth evaluate {path.parent}` writes them"
            raise ValueError(f"no predictions at {path}; {remedy}") from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            remedy = f"`vsmooth evaluate {path.parent}` rewrites it"
            raise ValueError(f"{path} is damaged ({error}); {remedy}") from None


def write_summary(comparison: Comparison, directory: str | Path) -> Path:
    """Writes `directory/summary.json`: one row per run, one aggregate per label and alpha, or per teacher."""
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
        raise ValueError(_no_summary(directory))
    summary = read_json(path)
    try:
        folders = [row["folder"] for row in summary["rows"]]
        texts = str(summary["command"]), dict(summary["environment"]), tuple(summary["classes"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a comparison's summary: {error} is missing") from None
    return Comparison(tuple(read_run(directory, folder) for folder in folders), *texts, directory)


def _no_summary(directory: Path) -> str:
    if not (directory / RECORD_FILE).is_file():
        return f"no {SUMMARY_FILE} in {directory}; `vsmooth compare --out {directory}` creates it"
    above = directory.resolve().parent
    whole = f", here {above}" if (above / SUMMARY_FILE).is_file() else ""
    return (
        f"{directory} is one run, not a comparison: give the --out of `vsmooth compare` or `vsmooth distill`{whole}; "
        f"`vsmooth evaluate {directory}` prints the numbers of one run"
    )


def _row(run: RunRecord) -> dict[str, Any]:
    about = {name: getattr(run, name) for name in ("label", "alpha", "num_virtual", "seed")} | _teacher_of(run)
    measured = {name: run.value(name) for name in (*SUMMARY_METRICS, *SUMMARY_TIMES)}
    rest = ("data", "model", "epochs", "parameters", "num_classes", "folder")
    return {**about, **measured, **run.metrics, **{name: getattr(run, name) for name in rest}}


def _aggregate(comparison: Comparison, group: Group) -> dict[str, Any]:
    about = {"label": group.label, "alpha": group.alpha, "num_virtual": group.num_virtual}
    measured = (*SUMMARY_METRICS, *SUMMARY_TIMES, *(TEACHER_METRICS if comparison.has_teachers else ()))
    summaries = {name: group.summary(name) for name in measured}
    differences = {name: comparison.difference(group, name) for name in SUMMARY_METRICS}
    found = {
        name: {"mean": difference.mean, "low": difference.low, "high": difference.high}
        for name, difference in differences.items()
        if difference is not None
    }
    return {
        **about,
        **_teacher_of(group.runs[0]),
        "seeds": len(group.runs),
        **{name: None if value is None else asdict(value) for name, value in summaries.items()},
        "difference_from_no_teacher" if comparison.has_teachers else "difference_from_one_hot": found or None,
    }


def _by_seed(runs: list[RunRecord]) -> tuple[RunRecord, ...]:
    return tuple(sorted(runs, key=lambda run: run.seed))


def _teacher_of(run: RunRecord) -> dict[str, str]:
    return {} if run.teacher is None else {"teacher": run.teacher.name, "teacher_origin": run.teacher.origin}
