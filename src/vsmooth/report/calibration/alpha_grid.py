"""ECE over a grid of alphas, the alpha of best validation accuracy in brackets (the paper's Table 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsmooth.labels import LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.report.comparison.metrics import ECE, MISSING
from vsmooth.report.comparison.reliability import Floats
from vsmooth.report.render.table import Cell, Column, Table

SHORT_NAMES = {scheme.name: scheme.short_name for scheme in (OneHot, LabelSmoothing, VirtualSmoothing)}


@dataclass(frozen=True, eq=False)
class AlphaGrid:
    """One label scheme trained with A alphas and S seeds; NaN where a seed was not trained."""

    label: str
    alphas: Floats  # (A,) rising
    validation_accuracy: Floats  # (S, A)
    ece: Floats  # (S, A) on the test split

    @property
    def name(self) -> str:
        return SHORT_NAMES.get(self.label, self.label)

    @property
    def best(self) -> int:
        """Position of the alpha whose mean validation accuracy is highest; a tie goes to the smaller alpha."""
        return int(np.nanmean(self.validation_accuracy, axis=0).argmax())


def alpha_grids(
    labels: Sequence[str],
    alphas: npt.ArrayLike,
    seeds: Sequence[int],
    validation_accuracy: npt.ArrayLike,
    ece: npt.ArrayLike,
) -> tuple[AlphaGrid, ...]:
    """A grid for each label scheme, in order of first appearance, from columns that hold one run in each row.

    All grids have the same seeds in their rows. ValueError for columns of different lengths, no runs, a
    value that is not finite (alpha is chosen by validation accuracy, so no run may lack it), and a run that
    occurs twice.
    """
    columns = [np.asarray(values, dtype=np.float64) for values in (alphas, validation_accuracy, ece)]
    lengths = {len(labels), len(seeds), *map(len, columns)}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"the columns must have one length of at least 1, got {sorted(lengths)}")
    for name, values in zip(("alpha", "validation accuracy", "ECE"), columns, strict=True):
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(f"run {row} ({labels[row]}, seed {seeds[row]}) has no {name}: {values[row]}")
    keys = list(zip(labels, columns[0].tolist(), seeds, strict=True))
    if len(set(keys)) < len(keys):
        label, alpha, seed = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{label} with alpha {alpha:g} and seed {seed} occurs twice")
    scores = dict(zip(keys, zip(columns[1].tolist(), columns[2].tolist(), strict=True), strict=True))
    return tuple(_grid(label, scores) for label in dict.fromkeys(labels))


def _grid(label: str, scores: dict[tuple[str, float, int], tuple[float, float]]) -> AlphaGrid:
    seeds = sorted({seed for _, _, seed in scores})
    alphas = sorted({alpha for other, alpha, _ in scores if other == label})
    unknown = (math.nan, math.nan)
    values = np.array([[scores.get((label, alpha, seed), unknown) for alpha in alphas] for seed in seeds])
    return AlphaGrid(label, np.array(alphas), values[..., 0], values[..., 1])


def alpha_table(grids: Sequence[AlphaGrid]) -> Table:
    """A row per scheme, a column per alpha: mean test ECE, and its difference from one-hot below.

    Source: Table 4 of the virtual smoothing paper, whose bracketed alpha has the highest accuracy; here the
    validation split chooses it. Differences are over the seeds that both labels were trained with.
    """
    one_hot = next((grid for grid in grids if grid.label == "one-hot"), None)
    smoothed = [grid for grid in grids if grid is not one_hot]
    alphas = sorted({float(alpha) for grid in smoothed for alpha in grid.alphas})
    rows = tuple((Cell(grid.name), *(_cell(grid, alpha, one_hot) for alpha in alphas)) for grid in smoothed)
    columns = (Column("Test ECE"), *(Column(f"{alpha:g}") for alpha in alphas))
    notes = ["[ ]: the alpha of highest mean validation accuracy."]
    if one_hot is not None:
        mean = ECE.text(float(np.nanmean(one_hot.ece)))
        notes.append(f"One-hot: {mean}. Second line: difference from one-hot; above 0 is worse calibrated.")
    return Table(columns, rows, tuple(notes), compact=True)


def _cell(grid: AlphaGrid, alpha: float, one_hot: AlphaGrid | None) -> Cell:
    found = np.flatnonzero(grid.alphas == alpha)
    if not len(found):
        return Cell(MISSING)
    values = grid.ece[:, found[0]]
    text = ECE.text(float(np.nanmean(values)))
    difference = math.nan if one_hot is None else _mean(values - one_hot.ece[:, 0])
    detail = "" if math.isnan(difference) else ECE.signed(difference)
    return Cell(f"[{text}]" if found[0] == grid.best else text, detail)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
