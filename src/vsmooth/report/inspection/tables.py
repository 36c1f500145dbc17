"""Inspection records as tables and sentences: virtual classes, overlap of input gradients, CKA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vsmooth.metrics import mass_verdict
from vsmooth.records.comparison import Comparison
from vsmooth.records.inspection import read_inspection
from vsmooth.report.comparison.metrics import MISSING
from vsmooth.report.inspection.inspected import InspectedRun
from vsmooth.report.render.table import Cell, Column, Table

MOST_RUNS = 12  # more do not fit side by side


def virtual_table(runs: Sequence[InspectedRun]) -> Table | None:
    """A row for each network with virtual classes: what they take, how evenly, and where their templates lie."""
    columns = (
        Column("Label"),
        Column("V"),
        Column("Mass\n(alpha)"),
        Column("5 % to 95 %\nof the images", False),
        Column("Evenness\n(of the label)"),
        Column("Virtual\non top"),
        Column("Distance\nreal-real", False),
        Column("Distance\nreal-virtual", False),
        Column("Distance\nvirtual-virtual", False),
    )
    rows = []
    for run in runs:
        found = run.record.virtual
        if found is None:
            continue
        even = Cell(MISSING) if found.entropy is None else Cell(f"{found.entropy:.3f}", f"({found.label_entropy:.3f})")
        lengths = (found.distances.real_real, found.distances.real_virtual, found.distances.virtual_virtual)
        rows.append((
            Cell(run.name),
            Cell(str(found.num_virtual)),
            Cell(f"{found.mass_mean:.3f}", f"({found.alpha:g})"),
            Cell(f"{found.mass_low:.3f}–{found.mass_high:.3f}"),
            even,
            Cell(f"{100 * found.top_share:.1f} %"),
            *(Cell(MISSING if length is None else f"{length:.3f}") for length in lengths),
        ))
    note = (
        "Mass: probability of all virtual classes together, mean over the test images; near alpha is healthy. "
        "Evenness: entropy of their shares, 1 where all are equal. Virtual on top: images whose largest logit is a "
        "virtual one. Distance: mean Euclidean one between the classifier's rows; virtual ones that lie together (near "
        "0) act as one class."
    )
    return Table(columns, tuple(rows), (note,)) if rows else None


def virtual_verdicts(runs: Sequence[InspectedRun]) -> tuple[str, ...]:
    """A sentence for each network with virtual classes: healthy, or what is amiss."""
    return tuple(
        f"{run.name}: {mass_verdict(run.record.virtual)}" for run in runs if run.record.virtual is not None
    )


def overlap_table(runs: Sequence[InspectedRun]) -> Table | None:
    """How much the input gradients of the correct class overlap with those of the virtual and the incorrect classes."""
    columns = tuple(map(Column, ("Rank correlation", "correct and\nvirtual classes", "correct and\nincorrect classes")))
    rows = tuple(
        (Cell(run.name), _overlap_cell(run, "virtual"), _overlap_cell(run, "incorrect"))
        for run in runs
        if run.record.overlap
    )
    if not rows:
        return None
    images = max(overlap.images for run in runs for overlap in run.record.overlap.values())
    note = (
        f"Spearman correlation of the two maps over the pixels, mean over {images:,} test images, with its 95 % "
        "bootstrap interval: 1 where both look at the same pixels, 0 where they have nothing to do with each other. "
        "Where the sum of the real logits hardly changes, the maps of correct and incorrect classes mirror each other "
        "whatever the label, so a high value of these two says little."
    )
    return Table(columns, rows, (note,), compact=True)


def _overlap_cell(run: InspectedRun, name: str) -> Cell:
    found = run.record.overlap.get(name)
    if found is None:
        return Cell(MISSING)
    return Cell(f"{found.rank.value:.3f}", f"{found.rank.low:.3f}–{found.rank.high:.3f}")


def cka_table(comparison: Comparison) -> Table | None:
    """Linear CKA of the last layers of each pair of runs that were inspected together; None for fewer than two."""
    runs = [
        (run, record) for group in comparison.groups for run in group.runs
        if (record := read_inspection(Path(comparison.directory, run.folder))) is not None and record.cka
    ][:MOST_RUNS]
    if len(runs) < 2:
        return None
    seeds = len({run.seed for run, _ in runs}) > 1
    names = [f"{run.name}, seed {run.seed}" if seeds else run.name for run, _ in runs]
    rows = tuple(
        (Cell(name), *(Cell(_cka_text(run.folder, other.folder, record.cka)) for other, _ in runs))
        for name, (run, record) in zip(names, runs, strict=True)
    )
    note = (
        "Linear CKA of the activations before the classifier on the test images: 1 where equal up to rotation and "
        "scale."
    )
    if seeds:
        note += " Two seeds of one label say how unlike two trainings are by chance."
    return Table((Column("CKA"), *(Column(name) for name in names)), rows, (note,), compact=True)


def _cka_text(own: str, other: str, found: Mapping[str, float]) -> str:
    value = 1.0 if own == other else found.get(Path(other).name)
    return MISSING if value is None else f"{value:.3f}"
