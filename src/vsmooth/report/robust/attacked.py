"""Records of robust evaluation, gathered over the runs of a comparison, as the arrays of figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsmooth.records.comparison import Comparison
from vsmooth.records.robust import RobustRecord, robust_records
from vsmooth.records.sanity import SweepPoint
from vsmooth.records.standing import Standing
from vsmooth.report.drawing.style import Style, styles
from vsmooth.report.robust.figures import LossSurface, RobustCurve

LINF = "linf"
STILL_RIGHT = "Still right, % of those right when clean"
_BYTE = 255


@dataclass(frozen=True, eq=False)
class AttackedRun:
    """A run and one evaluation of it; `folder` holds that evaluation's files."""

    name: str
    style: Style
    record: RobustRecord
    folder: Path


def attacked_runs(comparison: Comparison, records: Mapping[str, tuple[Path, RobustRecord]]) -> tuple[AttackedRun, ...]:
    """The runs with a record, by `run.folder`: (folder of the evaluation, record). Seeds are named where there are
    several of one label.
    """
    found = []
    for group, style in zip(comparison.groups, styles(comparison.groups), strict=True):
        runs = [run for run in group.runs if run.folder in records]
        for run in runs:
            folder, record = records[run.folder]
            name = group.name if len(runs) == 1 else f"{group.name}, seed {run.seed}"
            found.append(AttackedRun(name, style, record, folder))
    return tuple(found)


def attacked_questions(comparison: Comparison) -> tuple[tuple[AttackedRun, ...], ...]:
    """What `vsmooth attack` left: the runs of each threat model and number of images, which alone can be compared.

    Of several evaluations of one run, attacks and seeds apart, the one with most columns counts, of those one with a
    sanity block, then the one with the lowest headline.
    """
    questions: dict[tuple[str, float, int], dict[str, tuple[Path, RobustRecord]]] = {}
    for run in comparison.runs:
        for folder, record in robust_records(Path(comparison.directory, run.folder)).items():
            known = questions.setdefault((record.threat.norm, record.threat.epsilon, record.images), {})
            if run.folder not in known or _weight(record) > _weight(known[run.folder][1]):
                known[run.folder] = folder, record
    return tuple(attacked_runs(comparison, questions[question]) for question in sorted(questions))


def _weight(record: RobustRecord) -> tuple[int, bool, int]:
    """How much an evaluation says, against others of the same run and question."""
    return len(record.columns), record.sanity is not None, -record.headline.count


def threat_words(record: RobustRecord) -> str:
    """"L-inf, epsilon 8/255"; fractions of 255 where epsilon is one."""
    norm = "L-inf" if record.threat.norm == LINF else "L2"
    return f"{norm}, epsilon {_epsilon_text(record.threat.epsilon)}"


def _epsilon_text(epsilon: float) -> str:
    whole = round(epsilon * _BYTE)
    return f"{whole}/{_BYTE}" if 0 < whole < _BYTE and abs(epsilon * _BYTE - whole) < 1e-4 else f"{epsilon:.4g}"


def epsilon_curves(runs: Sequence[AttackedRun]) -> tuple[RobustCurve, ...]:
    """Accuracy of the sanity images by epsilon, in 1/255 for L-inf; all of them are right at 0."""
    unit = _BYTE if runs and runs[0].record.threat.norm == LINF else 1
    checked = [(run, run.record.sanity) for run in runs if run.record.sanity is not None]
    return tuple(
        _curve(run, (SweepPoint(0.0, Standing(report.images, report.images, 1.0, 1.0)), *report.epsilons), unit)
        for run, report in checked if report.epsilons
    )


def epsilon_label(runs: Sequence[AttackedRun]) -> str:
    """What stands below an axis of epsilon."""
    return "Epsilon, in 1/255 (L-inf)" if runs[0].record.threat.norm == LINF else "Epsilon (L2)"


def step_curves(runs: Sequence[AttackedRun]) -> tuple[RobustCurve, ...]:
    """Accuracy of the sanity images by the number of steps."""
    return tuple(
        _curve(run, run.record.sanity.steps)
        for run in runs if run.record.sanity is not None and run.record.sanity.steps
    )


def _curve(run: AttackedRun, points: Sequence[SweepPoint], unit: float = 1.0) -> RobustCurve:
    standing = [point.standing for point in points]
    x = np.array([unit * point.at for point in points])
    values = (np.array([getattr(found, name) for found in standing]) for name in ("accuracy", "low", "high"))
    return RobustCurve(run.name, run.style, x, *values)


def loss_surfaces(runs: Sequence[AttackedRun]) -> tuple[LossSurface, ...]:
    """The loss around an image, for the runs that have it."""
    grids = [(run, run.record.sanity.surface) for run in runs if run.record.sanity is not None]
    return tuple(
        LossSurface(
            run.name, np.array(grid.along_gradient), np.array(grid.along_random), np.array(grid.loss),
            f"around test image {grid.index:,}",
        )
        for run, grid in grids if grid is not None
    )
