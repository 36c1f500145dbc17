"""The tables of a comparison: results by label, every run, and how a parameter was chosen."""

from __future__ import annotations

import math

from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.statistics import SIGNIFICANCE
from vsmooth.report.comparison.metrics import (
    ACCURACY,
    BRIER,
    DAGGER,
    ECE,
    METRICS,
    MISSING,
    NLL,
    ROBUST,
    TEACHER,
    Metric,
    confidence_gap,
    confidence_words,
    interval_text,
)
from vsmooth.report.comparison.subject import subject_of
from vsmooth.report.render.table import STAR, Cell, Column, Table


def result_table(comparison: Comparison) -> Table:
    """A row per label and alpha, or per teacher: means, standard deviations, differences with intervals."""
    best = {metric.key: best_group(comparison, metric) for metric in METRICS}
    subject = subject_of(comparison)
    rows = tuple(
        (
            Cell(group.name),
            Cell(str(len(group.runs))),
            *(_metric_cell(comparison, group, metric, group is best[metric.key]) for metric in METRICS),
            _gap_cell(group),
            *(_metric_cell(comparison, group, metric, best=False) for metric in subject.further),
            Cell(_mean_text(group, "images_per_second", "{:,.0f}")),
            Cell(_mean_text(group, "train_seconds", "{:,.1f}")),
        )
        for group in comparison.groups
    )
    second = ROBUST[0] if comparison.attacked else ECE  # what a narrow terminal shows beside the accuracy
    essential = (subject.row, "Seeds", ACCURACY.title, second.title, NLL.title)
    taught = tuple(metric.title for metric in subject.further)
    further = (BRIER.title, "Confidence −\naccuracy, points", *taught, "Images/s", "Training, s")
    columns = tuple(Column(title, title in essential) for title in (*essential, *further))
    return Table(columns, rows, _notes(comparison, rows), overflow=teacher_table(comparison))


def best_group(comparison: Comparison, metric: Metric) -> Group | None:
    """The best group if it is distinguishable from every other, corrected for the columns (Bonferroni), else None."""
    groups = comparison.groups
    summaries = [group.summary(metric.key) for group in groups]
    means = [summary.mean * metric.better for summary in summaries if summary is not None]
    if len(groups) < 2 or len(means) < len(groups):
        return None
    best = groups[means.index(max(means))]
    differences = (comparison.differences.between(best, other, metric.key) for other in groups if other is not best)
    p_values = [1.0 if one is None or one.seeds < 2 else one.p_value() for one in differences]
    return best if max(p_values) * len(METRICS) <= SIGNIFICANCE else None


def seed_table(comparison: Comparison) -> Table:
    """A row per run."""
    scores = ("Accuracy %", "ECE", "NLL", "Brier", "Confidence %")
    titles = (subject_of(comparison).row, "Seed", *scores, "Training, s", "Folder")
    rows = tuple(
        (
            Cell(group.name),
            Cell(str(run.seed)),
            *(Cell(_number(metric, run.value(metric.key))) for metric in METRICS),
            Cell(_number(ACCURACY, run.value("mean_confidence"))),
            Cell(f"{run.train_seconds:,.1f}"),
            Cell(run.folder),
        )
        for group in comparison.groups
        for run in group.runs
    )
    return Table(tuple(Column(title) for title in titles), rows, compact=True)


def selection_table(group: Group) -> Table | None:
    """The candidates of a parameter chosen on the validation split, the chosen one marked; None if none."""
    run = next((run for run in group.runs if run.selected_from), None)
    if run is None or run.selected_from is None:
        return None
    rows = tuple(
        (
            Cell(f"{row.parameter:g}", *(("chosen", True) if row.name == run.variant.objective.name else ())),
            Cell(_number(ACCURACY, row.accuracy)),
            Cell(_number(NLL, row.nll)),
        )
        for row in run.selected_from
    )
    return Table((Column("Parameter"), Column("Validation accuracy %"), Column("Validation NLL")), rows, compact=True)


def teacher_table(comparison: Comparison) -> Table | None:
    """What became of the teachers: their accuracy, and how well the students imitate them; None without any."""
    taught = [group for group in comparison.groups if group.teacher is not None]
    if not taught:
        return None
    columns = (Column("Student"), *(Column(metric.title) for metric in TEACHER))
    rows = tuple(
        (Cell(group.name), *(_metric_cell(comparison, group, metric, best=False) for metric in TEACHER))
        for group in taught
    )
    notes = ["On the test images; KL in nats, 0 for a perfect imitation."]
    if any(cell.text == MISSING for row in rows for cell in row):
        notes.append(f"{MISSING}: saved logits without those of the test images, or an older record.")
    return Table(columns, rows, tuple(notes))


def _metric_cell(comparison: Comparison, group: Group, metric: Metric, best: bool) -> Cell:
    summary = group.summary(metric.key)
    if summary is None:
        return Cell(MISSING)
    text = metric.text(summary.mean) + ("" if summary.std is None else f" ± {metric.text(summary.std)}")
    difference = comparison.differences.from_baseline(group, metric.key) if metric.compared else None
    mark = DAGGER if difference is not None and difference.source == "test samples" else ""
    return Cell(text, interval_text(metric, difference) + mark if difference is not None else "", best)


def _gap_cell(group: Group) -> Cell:
    gap = confidence_gap(group)
    return Cell(MISSING) if math.isnan(gap) else Cell(ACCURACY.signed(gap), confidence_words(gap))


def _mean_text(group: Group, metric: str, pattern: str) -> str:
    summary = group.summary(metric)
    return MISSING if summary is None else pattern.format(summary.mean)


def _number(metric: Metric, value: float) -> str:
    return metric.text(value) if math.isfinite(value) else MISSING


def _notes(comparison: Comparison, rows: tuple[tuple[Cell, ...], ...]) -> tuple[str, ...]:
    cells = [cell for row in rows for cell in row]
    bootstrapped = any(cell.detail.endswith(DAGGER) for cell in cells)
    notes = [*_seed_notes(comparison, any(cell.best for cell in cells))]
    if any(cell.detail.startswith(("+", "-")) for cell in cells):
        notes.append(_difference_note(comparison, bootstrapped))
    if bootstrapped:
        notes.append(
            f"{DAGGER} One shared seed: the interval is a bootstrap over the test images. It holds for "
            "this one pair of networks; another seed may differ."
        )
    return tuple(notes)


def _seed_notes(comparison: Comparison, marked: bool) -> tuple[str, ...]:
    counts = sorted({len(group.runs) for group in comparison.groups})
    if counts == [1]:
        return ("One seed: the spread between seeds is unknown, so no value is marked as best.",)
    seeds = f"{counts[0]} seeds" if len(counts) == 1 else "the seeds of each row; differences over those shared"
    best = (
        f"{STAR} best of its column: distinguishable from every other row, corrected for the {len(METRICS)} columns."
        if marked else f"No value is marked as best: with {counts[-1]} seeds no row is distinguishable from all others."
    )
    return f"Mean ± standard deviation over {seeds}.", best


def _difference_note(comparison: Comparison, bootstrapped: bool) -> str:
    kind = "" if bootstrapped else (
        ": the wider of Student's t over the seeds and a bootstrap of the test images, which all seeds share"
    )
    found = [
        one for group in comparison.groups for metric in METRICS
        if (one := comparison.differences.from_baseline(group, metric.key)) is not None
    ]
    count = found[0].comparisons if found else 1
    # With one seed the networks may differ by the luck of their training, of which no interval here knows.
    held = "so of tables of equal labels at most 5 % hold a false one" if any(one.seeds > 1 for one in found) else (
        "but are about these networks alone: equal labels may differ by the luck of one training"
    )
    correction = "" if count == 1 else (
        f" Each interval stands alone; verdicts in words are corrected for all {count} differences of this table "
        f"(Holm), {held}."
    )
    return (
        f"Second line: paired difference from {comparison.baseline_name} with its 95 % confidence interval{kind}."
        f"{correction}"
    )
