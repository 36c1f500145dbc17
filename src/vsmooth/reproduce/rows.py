"""Each number of a recipe beside ours: mean and deviation over seeds, difference, and whether the gain holds."""

from __future__ import annotations

from dataclasses import dataclass

from vsmooth.experiments.variants import variant_of
from vsmooth.recipes import Cell, Recipe
from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.statistics import MeanStd
from vsmooth.records.variant import Variant
from vsmooth.report.comparison.findings import Check, Claim, judge
from vsmooth.report.comparison.metrics import METRICS, MISSING, Metric
from vsmooth.report.render import table as render

_COLUMNS = ("Label", "Metric", "Paper", "Ours", "Difference", "Gain in\nthe paper", "Does the gain hold?")


@dataclass(frozen=True)
class Row:
    """One number of the paper beside ours.

    paper, gain: the paper's number, and what it gains over the cell's baseline there, in the units of a report's
    tables; no gain for a baseline. ours: the test metric over the seeds, a fraction; None where nothing was trained.
    claim: whether our difference from the baseline has the sign of the paper's gain; None without a gain.
    """

    cell: Cell
    name: str
    metric: Metric
    paper: float
    gain: float | None
    ours: MeanStd | None
    claim: Claim | None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, in its units."""
        return None if self.ours is None else self.ours.mean * self.metric.scale - self.paper


def reproduced_rows(recipe: Recipe, comparison: Comparison) -> tuple[Row, ...]:
    """A row for each cell and metric, in the recipe's order; the claims are corrected for all of them (Holm).

    Runs are found by their variant (objective, method, step rule). Data, network and epochs may be others than the
    recipe's: the notes of :func:`reproduced_table` name both. Cells with a teacher are not found yet.

    Raises:
        ValueError: a metric that reports do not print; predictions that are missing or damaged.
    """
    numbers = [_Number(recipe, cell, _metric(name), comparison) for cell in recipe.cells for name in cell.paper]
    claims = iter(judge([number.check for number in numbers if number.gain]))
    return tuple(number.row(next(claims) if number.gain else None) for number in numbers)


def reproduced_table(recipe: Recipe, comparison: Comparison) -> render.Table:
    """:func:`reproduced_rows` as a table; its notes say what the paper and what we trained."""
    columns = tuple(render.Column(title) for title in _COLUMNS)
    run, spec = comparison.runs[0], recipe.spec
    notes = (
        f"{recipe.table} of the paper: {spec.model}, {spec.epochs} epochs on {spec.data}; it does not say of how many "
        "trainings.",
        f"Ours: {run.model}, {run.epochs} epochs on {run.data}; mean ± standard deviation over the seeds.",
    )
    return render.Table(columns, tuple(_cells(row) for row in reproduced_rows(recipe, comparison)), notes)


@dataclass(frozen=True)
class _Number:
    recipe: Recipe
    cell: Cell
    metric: Metric
    comparison: Comparison

    @property
    def gain(self) -> float | None:
        """Over the first cell with the variant's baseline, rounded as the paper's numbers are."""
        baseline = self._variant(self.cell).baseline.key
        for cell in self.recipe.cells:
            if cell is not self.cell and self._variant(cell).key == baseline and self.metric.key in cell.paper:
                return round(self.cell.paper[self.metric.key] - cell.paper[self.metric.key], 6)
        return None

    @property
    def check(self) -> Check:
        name, sign = self._variant(self.cell).name, 1 if (self.gain or 0) > 0 else -1
        text = f"{name}: {self.metric.title} {'above' if sign > 0 else 'below'} its baseline, as in {self.recipe.table}"
        group = self._group
        baseline = None if group is None else self.comparison.baseline_of(group)
        if group is None or baseline is None:
            return Check(text, name, self.metric, sign, None, missing=f"no run of {name} or of its baseline")
        found = self.comparison.differences.between(group, baseline, self.metric.key)
        return Check(text, name, self.metric, sign, found)

    def row(self, claim: Claim | None) -> Row:
        ours = None if self._group is None else self._group.summary(self.metric.key)
        name, paper = self._variant(self.cell).name, self.cell.paper[self.metric.key]
        return Row(self.cell, name, self.metric, paper, self.gain, ours, claim)

    @property
    def _group(self) -> Group | None:
        key = self._variant(self.cell).key
        return next((group for group in self.comparison.groups if group.variant.key == key), None)

    def _variant(self, cell: Cell) -> Variant:
        return variant_of(cell.spec, self.comparison.runs[0].num_classes)


def _metric(name: str) -> Metric:
    found = next((metric for metric in METRICS if metric.key == name), None)
    if found is None:
        raise ValueError(f"no table prints the metric {name!r}; it is one of {', '.join(m.key for m in METRICS)}")
    return found


def _cells(row: Row) -> tuple[render.Cell, ...]:
    digits, ours = row.metric.digits, row.ours
    deviation = "" if ours is None or ours.std is None else f" ± {row.metric.text(ours.std)}"
    return (
        render.Cell(row.name),
        render.Cell(row.metric.title),
        render.Cell(f"{row.paper:.{digits}f}"),
        render.Cell(MISSING if ours is None else row.metric.text(ours.mean) + deviation),
        render.Cell(MISSING if row.difference is None else f"{row.difference:+.{digits}f}"),
        render.Cell(MISSING if row.gain is None else f"{row.gain:+.{digits}f}"),
        render.Cell(MISSING) if row.claim is None else render.Cell(row.claim.verdict, row.claim.evidence),
    )
