"""Records of shift as curves and as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vsmooth.data.corruptions import SEVERITIES
from vsmooth.records.comparison import Comparison
from vsmooth.records.shift import ShiftRecord, read_shift
from vsmooth.report.comparison.metrics import ACCURACY, ECE
from vsmooth.report.drawing.style import styles
from vsmooth.report.render.table import Cell, Column, Table
from vsmooth.report.shift.figures import ShiftCurve


def shift_curves(comparison: Comparison) -> tuple[ShiftCurve, ...]:
    """A curve for each label with records of shift, the mean over its seeds.

    Only labels with the corruptions and the number of images of the first one are kept: others do not compare.
    """
    found: list[tuple[ShiftCurve, ShiftRecord]] = []
    for group, style in zip(comparison.groups, styles(comparison.groups), strict=True):
        read = [read_shift(Path(comparison.directory, run.folder)) for run in group.runs]
        records = [record for record in read if record is not None and (not found or _alike(record, found[0][1]))]
        records = [record for record in records if _alike(record, records[0])]
        if records:
            tables = (np.mean([record.table(metric) for record in records], axis=0) for metric in ("accuracy", "ece"))
            found.append((ShiftCurve(group.name, style, (0, *SEVERITIES), *tables), records[0]))
    return tuple(curve for curve, _ in found)


def _alike(record: ShiftRecord, other: ShiftRecord) -> bool:
    return (record.corruptions, record.images) == (other.corruptions, other.images)


def shift_table(curves: tuple[ShiftCurve, ...]) -> Table:
    """Accuracy and, below it, the ECE by severity: means over the corruptions."""
    severities = curves[0].severities
    titles = ("unchanged" if severity == 0 else f"severity {severity}" for severity in severities)
    columns = Column("Label"), *(Column(title, place in (0, 1, 3, 5)) for place, title in enumerate(titles))
    rows = tuple(
        (
            Cell(curve.name),
            *(
                Cell(f"{ACCURACY.text(float(accuracy))} %", f"ECE {ECE.text(float(ece))}")
                for accuracy, ece in zip(curve.accuracy.mean(axis=0), curve.ece.mean(axis=0), strict=True)
            ),
        )
        for curve in curves
    )
    note = f"Means over {len(curves[0].accuracy)} corruptions. Made on the fly, they are not those of CIFAR-10-C."
    return Table(columns, rows, (note,))
