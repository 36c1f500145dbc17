"""One table model; a terminal, a Markdown and an HTML rendering of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from vsmooth.experiments.record import Comparison, Group
from vsmooth.experiments.statistics import PairedDifference
from vsmooth.report.differences import difference_from_one_hot

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

CALIBRATED = 0.005  # a gap of less than half a point is called neither over- nor under-confident
MISSING, STAR, DAGGER = "–", "★", "†"


@dataclass(frozen=True)
class Column:
    """A heading, and whether a narrow terminal keeps the column."""

    title: str
    essential: bool = True


@dataclass(frozen=True)
class Cell:
    """A value, a second line below it, and whether it is marked as the best of its column."""

    text: str
    detail: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Columns, rows of cells, and notes to read below."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metric:
    """How a test metric is named, scaled and printed; `better` is +1 if more is better, -1 if less is."""

    key: str
    title: str
    digits: int
    better: int
    scale: float = 1.0
    compared: bool = True

    def text(self, value: float) -> str:
        return f"{value * self.scale:.{self.digits}f}"

    def signed(self, value: float) -> str:
        rounded = round(value * self.scale, self.digits) + 0.0  # no "-0.00"
        return f"{rounded:+.{self.digits}f}"


ACCURACY = Metric("accuracy", "Accuracy %", 2, +1, 100)
ECE = Metric("ece", "ECE", 3, -1)
NLL = Metric("nll", "NLL", 3, -1)
BRIER = Metric("brier", "Brier", 3, -1, compared=False)
METRICS = (ACCURACY, ECE, NLL, BRIER)


def confidence_words(gap: float) -> str:
    """Words for mean confidence minus accuracy (a fraction)."""
    if math.isnan(gap):
        return MISSING
    if abs(gap) < CALIBRATED:
        return "about right"
    return "over-confident" if gap > 0 else "under-confident"


def confidence_gap(group: Group) -> float:
    """Mean confidence minus accuracy over the group's seeds, a fraction; NaN where unknown."""
    confidence, accuracy = group.summary("mean_confidence"), group.summary("accuracy")
    return math.nan if confidence is None or accuracy is None else confidence.mean - accuracy.mean


def interval_text(metric: Metric, difference: PairedDifference) -> str:
    """"+0.40 [-0.20, +1.00]", or the difference alone without an interval."""
    if difference.low is None or difference.high is None:
        return metric.signed(difference.mean)
    low, high = metric.signed(difference.low), metric.signed(difference.high)
    return f"{metric.signed(difference.mean)} [{low}, {high}]"


def result_table(comparison: Comparison) -> Table:
    """A row per label and alpha: means, standard deviations, differences from one-hot with intervals."""
    best = {metric.key: best_group(comparison, metric) for metric in METRICS}
    rows = tuple(
        (
            Cell(group.name),
            Cell(str(len(group.runs))),
            *(_metric_cell(comparison, group, metric, group is best[metric.key]) for metric in METRICS),
            _gap_cell(group),
            Cell(_mean_text(group, "images_per_second", "{:,.0f}")),
            Cell(_mean_text(group, "train_seconds", "{:,.1f}")),
        )
        for group in comparison.groups
    )
    columns = (
        Column("Label"), Column("Seeds"), Column(ACCURACY.title), Column(ECE.title), Column(NLL.title),
        Column(BRIER.title, False), Column("Confidence −\naccuracy, points", False), Column("Images/s", False),
        Column("Training, s", False),
    )
    return Table(columns, rows, _notes(comparison, rows))


def best_group(comparison: Comparison, metric: Metric) -> Group | None:
    """The best group if its paired interval to every other group excludes zero, else None."""
    means = [(s.mean * metric.better, i) for i, g in enumerate(comparison.groups) if (s := g.summary(metric.key))]
    if len(means) < 2 or len(means) < len(comparison.groups):
        return None
    best = comparison.groups[max(means)[1]]
    differences = [best.difference(other, metric.key) for other in comparison.groups if other is not best]
    return best if all(d is not None and d.distinguishable for d in differences) else None


def seed_table(comparison: Comparison) -> Table:
    """A row per run."""
    titles = ("Label", "Seed", "Accuracy %", "ECE", "NLL", "Brier", "Confidence %", "Training, s", "Folder")
    rows = tuple(
        (
            Cell(run.name),
            Cell(str(run.seed)),
            *(Cell(_number(metric, run.value(metric.key))) for metric in METRICS),
            Cell(_number(ACCURACY, run.value("mean_confidence"))),
            Cell(f"{run.train_seconds:,.1f}"),
            Cell(run.folder),
        )
        for group in comparison.groups
        for run in group.runs
    )
    return Table(tuple(Column(title) for title in titles), rows)


def selection_table(group: Group) -> Table | None:
    """The candidates of an alpha chosen on the validation split, the chosen one marked; None if none."""
    run = next((run for run in group.runs if run.selected_from), None)
    if run is None or run.selected_from is None:
        return None
    rows = tuple(
        (
            Cell(f"{row['alpha']:g}", "chosen" if row["alpha"] == run.alpha else "", row["alpha"] == run.alpha),
            Cell(_number(ACCURACY, row.get("validation_accuracy", math.nan))),
            Cell(_number(NLL, row.get("validation_nll", math.nan))),
        )
        for row in run.selected_from
    )
    return Table((Column("Alpha"), Column("Validation accuracy %"), Column("Validation NLL")), rows)


def to_markdown(table: Table) -> str:
    """A GitHub Markdown table with its notes."""
    lines = [[column.title.replace("\n", " ") for column in table.columns], ["---"] + ["---:"] * (len(table.columns) - 1)]
    lines += [[_markdown_cell(cell) for cell in row] for row in table.rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join((body, *table.notes))


def typeset(text: str) -> str:
    """Real minus signs, and no line breaks inside "VS 0.3", "95 %" or "3 seeds"."""
    minus = re.sub(r"(?<![\w.])-(?=[\d.])", "−", text)
    return re.sub(r"(?<=VS|LS) (?=\d)|(?<=\d) (?=%|seeds?\b|points?\b)", "\u00a0", minus)


def to_html(table: Table, kind: str = "") -> str:
    """A table inside a scrolling container of class `kind`, with its notes; every text is escaped."""
    heads = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in table.columns)
    rows = "".join(f"<tr>{''.join(_html_cell(i, cell) for i, cell in enumerate(row))}</tr>" for row in table.rows)
    notes = "".join(f'<p class="note">{escape(typeset(note))}</p>' for note in table.notes)
    body = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="scroll {kind}" tabindex="0" role="region" aria-label="table">{body}</div>{notes}'


def to_rich(table: Table, width: int | None = None) -> RichTable:
    """A terminal table; columns that are not essential are left out where `width` is too small."""
    from rich.console import Console

    full = _rich_table(table, range(len(table.columns)))
    if width is None or Console(width=1000).measure(full).maximum <= width:
        return full
    return _rich_table(table, [i for i, column in enumerate(table.columns) if column.essential], narrow=True)


def print_table(comparison: Comparison, console: Console | None = None) -> None:
    """Prints the result table and its notes."""
    from rich.console import Console

    console = console or Console()
    table = result_table(comparison)
    console.print(to_rich(table, console.width))
    for note in table.notes:
        console.print(note, style="dim", markup=False, highlight=False)


def _rich_table(table: Table, kept: Iterable[int], narrow: bool = False) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    indices = list(kept)
    found = RichTable(show_lines=any(cell.detail for row in table.rows for cell in row))
    for i in indices:
        found.add_column(Text(table.columns[i].title), justify="left" if i == 0 else "right", overflow="fold")
    for row in table.rows:
        cells = []
        for cell in (row[i] for i in indices):
            text = Text(_marked(cell), style="bold" if cell.best else "")
            detail = cell.detail.replace(" [", "\n[") if narrow else cell.detail
            cells.append(text.append(f"\n{detail}", style="not bold dim") if detail else text)
        found.add_row(*cells)
    return found


def _marked(cell: Cell) -> str:
    return f"{STAR} {cell.text}" if cell.best else cell.text


def _markdown_cell(cell: Cell) -> str:
    text = _markdown_text(f"**{_marked(cell)}**" if cell.best else cell.text)
    return f"{text}<br>{_markdown_text(cell.detail)}" if cell.detail else text


def _markdown_text(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _html_cell(index: int, cell: Cell) -> str:
    text = escape(typeset(_marked(cell)))
    text = f"<strong>{text}</strong>" if cell.best else text
    detail = f"<small>{escape(typeset(cell.detail))}</small>" if cell.detail else ""
    return f'<th scope="row">{text}{detail}</th>' if index == 0 else f"<td>{text}{detail}</td>"


def _metric_cell(comparison: Comparison, group: Group, metric: Metric, best: bool) -> Cell:
    summary = group.summary(metric.key)
    if summary is None:
        return Cell(MISSING)
    text = metric.text(summary.mean) + ("" if summary.std is None else f" ± {metric.text(summary.std)}")
    difference = difference_from_one_hot(comparison, group, metric.key) if metric.compared else None
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
    seeds = max(len(group.runs) for group in comparison.groups)
    bootstrapped = any(cell.detail.endswith(DAGGER) for cell in cells)
    notes = []
    if seeds == 1:
        notes.append("One seed: the spread between seeds is unknown, so no value is marked as best.")
    else:
        notes.append(f"Mean ± standard deviation over {seeds} seeds.")
        notes.append(
            f"{STAR} best of its column: its 95 % interval of the paired difference to every other row excludes zero."
            if any(cell.best for cell in cells)
            else f"No value is marked as best: with {seeds} seeds no row is distinguishable from all the others."
        )
    if any(cell.detail.startswith(("+", "-")) for cell in cells):
        kind = "" if bootstrapped else " (Student t)"
        notes.append(f"Second line: paired difference from one-hot with its 95 % confidence interval{kind}.")
    if bootstrapped:
        notes.append(f"{DAGGER} One shared seed: the interval is a bootstrap over the test images. It holds for this "
                     "one pair of networks; another seed may differ.")
    return tuple(notes)
