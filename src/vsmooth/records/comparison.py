"""Record of a comparison: runs that differ in variant and seed, grouped and compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsmooth.records.differences import Differences
from vsmooth.records.json_files import RecordFile
from vsmooth.records.outcomes import Outcomes, outcomes
from vsmooth.records.predictions import Predictions
from vsmooth.records.run import (
    RECORD_FILE,
    ROBUST_METRICS,
    SUMMARY_TIMES,
    TEACHER_METRICS,
    RunRecord,
    check_name,
    intact_predictions,
    read_run,
)
from vsmooth.records.statistics import MeanStd, PairedDifference, mean_std, paired_difference
from vsmooth.records.teacher import TeacherRecord
from vsmooth.records.variant import Variant

SUMMARY_FILE = "summary.json"
SUMMARY_METRICS = ("accuracy", "ece", "nll", "brier", "mean_confidence")


@dataclass(frozen=True)
class Group:
    """The runs of one variant, one per seed.

    plain: without a teacher where others that are like it have one. settings: in full, where the short name alone
    would be that of another group too.
    """

    variant: Variant
    runs: tuple[RunRecord, ...]
    plain: bool = False
    settings: str = ""

    @property
    def name(self) -> str:
        """The name of its variant; "plain" for students without a teacher, with an objective other than one-hot."""
        own = f"{self.variant.name} ({self.settings})" if self.settings else self.variant.name
        if not self.plain:
            return own
        return "plain" if self.variant.objective.is_one_hot else f"plain, {own}"

    @property
    def teacher(self) -> TeacherRecord | None:
        """Who taught these students."""
        return self.variant.teacher

    def values(self, metric: str) -> list[float]:
        """The finite values of a metric, one per seed."""
        return [value for run in self.runs if math.isfinite(value := run.value(metric))]

    def summary(self, metric: str) -> MeanStd | None:
        return mean_std(values) if (values := self.values(metric)) else None

    def shared_seeds(self, other: Group, metric: str) -> tuple[int, ...]:
        """The seeds whose runs have a finite value of the metric in both groups."""
        ours, theirs = ({run.seed for run in one.runs if math.isfinite(run.value(metric))} for one in (self, other))
        return tuple(sorted(ours & theirs))

    def difference(self, other: Group, metric: str) -> PairedDifference | None:
        """`self - other` over the seeds that have the metric in both; None if they share none.

        It varies with the seeds alone; `Comparison.differences` adds what it varies by with the test images.
        """
        seeds = self.shared_seeds(other, metric)
        ours, theirs = ([run.value(metric) for run in one.runs if run.seed in seeds] for one in (self, other))
        return paired_difference(ours, theirs) if seeds else None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs that differ in variant and seed only, and how they came about; `directory` holds their folders.

    `environment`: the facts that all of the runs share; each run has its own.
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
        """The runs by variant, in order of first appearance."""
        found: dict[str, list[RunRecord]] = {}
        for run in self.runs:
            found.setdefault(run.variant.key, []).append(run)
        untaught = {run.variant.baseline.key for run in self.runs if run.teacher is not None}
        groups = tuple(Group(runs[0].variant, _by_seed(runs), key in untaught) for key, runs in found.items())
        names = [group.name for group in groups]
        return tuple(
            replace(group, settings=group.variant.settings) if names.count(group.name) > 1 else group
            for group in groups
        )

    @property
    def attacked(self) -> bool:
        """Whether a network was trained, and watched, under attack."""
        return any("robust_accuracy" in run.metrics for run in self.runs)

    @property
    def taught(self) -> tuple[Group, ...]:
        """The students that had a teacher."""
        return tuple(group for group in self.groups if group.teacher is not None)

    @cached_property
    def baselines(self) -> tuple[Group, ...]:
        """The groups that others are compared with: one-hot of each method, students without a teacher."""
        wanted = {group.variant.baseline.key for group in self.groups if not group.variant.is_baseline}
        return tuple(g for g in self.groups if g.variant.key in wanted or g.variant.is_baseline)

    def baseline_of(self, group: Group) -> Group | None:
        """The group that ``group`` is compared with; None for a baseline, and where its baseline is missing."""
        if group in self.baselines:
            return None
        wanted = group.variant.baseline.key
        return next((other for other in self.groups if other.variant.key == wanted), None)

    def baseline_run(self, run: RunRecord) -> RunRecord | None:
        """The run of the same seed that ``run`` is compared with."""
        group = next(group for group in self.groups if run in group.runs)
        baseline = self.baseline_of(group)
        return next((other for other in baseline.runs if other.seed == run.seed), None) if baseline else None

    @property
    def baseline_name(self) -> str:
        """The name of what differences are taken from."""
        words = dict.fromkeys("no teacher" if group.plain else group.name for group in self.baselines)
        return " or ".join(words) if len(words) < 3 else "one-hot of the same method"

    @cached_property
    def differences(self) -> Differences:
        """Differences between groups, with intervals over seeds and test images."""
        return Differences(self)

    def outcomes(self, run: RunRecord) -> Outcomes:
        """What a run did on each test image; its predictions are read when they are first asked for, and once."""
        if run.folder not in self._outcomes:
            self._outcomes[run.folder] = outcomes(*self.predictions(run))
        return self._outcomes[run.folder]

    @cached_property
    def _outcomes(self) -> dict[str, Outcomes]:
        return {}

    def predictions(self, run: RunRecord) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Test logits (N, K) and labels (N,) of a run."""
        path = intact_predictions(self.directory / run.folder, run)
        try:
            found = Predictions.load(path)
        except ValueError as error:
            raise ValueError(f"{error}; `vsmooth evaluate {path.parent}` writes it anew") from None
        return found.logits.numpy(), found.labels.numpy()


@dataclass(frozen=True)
class Summary:
    """What `summary.json` holds: a row for each run, an aggregate for each variant."""

    rows: tuple[Mapping[str, Any], ...]
    aggregate: tuple[Mapping[str, Any], ...]
    command: str
    environment: Mapping[str, str]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("rows: expected one for each run, got none")
        for place, row in enumerate(self.rows):
            if not isinstance(row.get("folder"), str):
                raise ValueError(f"rows[{place}].folder: expected the name of a run's folder")


_FILE = RecordFile(SUMMARY_FILE, Summary, "the command that wrote it writes it anew")


def write_summary(comparison: Comparison, directory: str | Path) -> Path:
    """Writes `directory/summary.json`: one row per run, one aggregate per variant."""
    rows = tuple(_row(run) for run in comparison.runs)
    aggregate = tuple(_aggregate(comparison, group) for group in comparison.groups)
    summary = Summary(rows, aggregate, comparison.command, comparison.environment, comparison.classes)
    return _FILE.write(summary, directory)


def load_comparison(directory: str | Path) -> Comparison:
    """The comparison that `vsmooth compare --out directory` left; ValueError names what is missing."""
    directory = Path(directory)
    if not (directory / SUMMARY_FILE).is_file():
        raise ValueError(_no_summary(directory))
    found = _FILE.read(directory)
    for place, row in enumerate(found.rows):
        check_name(row["folder"])
        if not (directory / row["folder"] / RECORD_FILE).is_file():
            missing = f"rows[{place}].folder: there is no finished run {row['folder']!r} beside it"
            raise ValueError(f"{directory / SUMMARY_FILE} is damaged: {missing}; {_FILE.remedy}")
    runs = tuple(read_run(directory, row["folder"]) for row in found.rows)
    return Comparison(runs, found.command, dict(found.environment), found.classes, directory)


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
    about = _about(run.variant) | {"seed": run.seed}
    measured = {name: run.value(name) for name in (*SUMMARY_METRICS, *SUMMARY_TIMES)}
    rest = ("data", "model", "epochs", "parameters", "num_classes", "folder", "environments")
    return {**about, **measured, **run.metrics, **{name: getattr(run, name) for name in rest}}


def _aggregate(comparison: Comparison, group: Group) -> dict[str, Any]:
    measured = (*SUMMARY_METRICS, *SUMMARY_TIMES, *(TEACHER_METRICS if comparison.taught else ()))
    measured += ROBUST_METRICS if comparison.attacked else ()
    baseline = comparison.baseline_of(group)
    summaries = {name: group.summary(name) for name in measured}
    # Without an interval: it takes the predictions of all test images, which the report reads.
    found = {} if baseline is None else {
        name: {"mean": difference.mean, "seeds": difference.seeds}
        for name in SUMMARY_METRICS
        if (difference := group.difference(baseline, name)) is not None
    }
    return {
        **_about(group.variant),
        "seeds": len(group.runs),
        **{name: None if value is None else asdict(value) for name, value in summaries.items()},
        "baseline": None if baseline is None else baseline.name,
        "difference_from_baseline": found or None,
    }


def _by_seed(runs: list[RunRecord]) -> tuple[RunRecord, ...]:
    return tuple(sorted(runs, key=lambda run: run.seed))


def _about(variant: Variant) -> dict[str, Any]:
    found: dict[str, Any] = {
        "variant": variant.name,
        "key": variant.key,
        "objective": variant.objective.text,
        "parameter": variant.objective.parameter,
        "num_virtual": variant.objective.num_virtual,
    }
    found |= {name: part.name for name in ("method", "step") if (part := getattr(variant, name)).name}
    if variant.teacher is not None:
        found |= {"teacher": variant.teacher.name, "teacher_origin": variant.teacher.origin}
    return found
