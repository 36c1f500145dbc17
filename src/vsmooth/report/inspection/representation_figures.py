"""Figures of what a network's last layer holds: the plane of three classes, class similarities, virtual mass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsmooth.report.comparison.reliability import Floats
from vsmooth.report.drawing.canvas import GRID, INK, new_figure
from vsmooth.report.drawing.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Okabe and Ito 2008; the paper's blue, orange and green, told apart by their markers too.
CLASS_COLOURS, CLASS_MARKERS = ("#0072b2", "#d98200", "#007a57"), ("o", "^", "s")
VIRTUAL = "#8a8a8a"
MANY_CLASSES = 20  # more names than this cannot be read on an axis
PLANE_POINTS = 1500  # of one panel; more only hide each other


@dataclass(frozen=True, eq=False)
class PlaneCloud:
    """Samples of three classes on a plane: points (N, 2) and which of the three each is (N,), 0..2."""

    points: Floats
    members: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PlaneColumn:
    """One network: its clouds by split, the three templates (3, 2), virtual ones (V, 2) or None, a note."""

    name: str
    clouds: Mapping[str, PlaneCloud]
    templates: Floats
    virtual: Floats | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class MassColumn:
    """One network: probability of its virtual classes for each sample (N,), and alpha."""

    name: str
    style: Style
    mass: Floats
    alpha: float


def plane_figure(columns: Sequence[PlaneColumn], class_names: Sequence[str]) -> Figure:
    """Activations on the plane through three templates: a column for each network, a row for each split.

    Each column has one scale for all its splits; scales differ between networks, so compare shapes, not sizes. A panel
    shows at most 1,500 samples, evenly picked. ValueError for other than three class names and columns whose splits
    differ.
    """
    if len(class_names) != 3 or not columns:
        raise ValueError(f"the plane needs one network or more and three class names, got {len(class_names)} names")
    splits = list(columns[0].clouds)
    if any(list(column.clouds) != splits for column in columns):
        raise ValueError("every network must show the same splits")
    entries = _plane_entries(class_names, any(column.virtual is not None for column in columns))
    across = min(len(entries), 2 * len(columns))  # legend entries that fit side by side
    height = 2.35 * len(splits) + 0.55 + 0.2 * -(-len(entries) // across)
    size = max(3.4, 2.35 * len(columns) + 0.35), height  # the legend's least width
    with new_figure(*size, nrows=len(splits), ncols=len(columns), squeeze=False) as (figure, grid):
        figure.set_layout_engine("compressed")  # panels keep their aspect and their titles stay in view
        for i, column in enumerate(columns):
            for j, split in enumerate(splits):
                _draw_plane(grid[j, i], column, column.clouds[split])
                _frame(grid[j, i], _limits(column))
                if i == 0:
                    grid[j, i].set_ylabel(split)
            grid[0, i].set_title(column.name, pad=18 if column.note else 6)
            grid[0, i].text(0, 1.025, column.note, transform=grid[0, i].transAxes, va="bottom", fontsize=8)
        figure.legend(handles=entries, loc="outside lower center", ncols=across, frameon=False, handletextpad=0.2,
                      columnspacing=1.4)
    return figure


def _draw_plane(axes: Axes, column: PlaneColumn, cloud: PlaneCloud) -> None:
    kept = np.unique(np.linspace(0, len(cloud.points) - 1, min(PLANE_POINTS, len(cloud.points))).astype(int))
    points, members = np.asarray(cloud.points)[kept], np.asarray(cloud.members)[kept]
    for member, (colour, marker) in enumerate(zip(CLASS_COLOURS, CLASS_MARKERS, strict=True)):
        x, y = points[members == member].T
        axes.scatter(x, y, s=7, marker=marker, color=colour, alpha=0.45, linewidth=0)
    if column.virtual is not None:
        x, y = np.asarray(column.virtual).T
        axes.scatter(x, y, s=26, marker="x", color=INK, linewidth=0.9, zorder=3)
    for (x, y), colour, marker in zip(column.templates, CLASS_COLOURS, CLASS_MARKERS, strict=True):
        axes.scatter(x, y, s=60, marker=marker, color=colour, edgecolor="white", linewidth=1.3, zorder=4)
        axes.scatter(x, y, s=60, marker=marker, facecolor="none", edgecolor=INK, linewidth=0.6, zorder=5)


def _limits(column: PlaneColumn) -> tuple[Floats, float]:
    parts = [np.asarray(cloud.points) for cloud in column.clouds.values()] + [np.asarray(column.templates)]
    everything = np.concatenate(parts + ([] if column.virtual is None else [np.asarray(column.virtual)]))
    low, high = everything.min(axis=0), everything.max(axis=0)
    return (low + high) / 2, float((high - low).max()) * 0.54 or 1.0


def _frame(axes: Axes, limits: tuple[Floats, float]) -> None:
    (x, y), half = limits
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half), xticks=[], yticks=[], aspect="equal")
    for side in axes.spines.values():
        side.set(visible=True, color=GRID)


def _plane_entries(class_names: Sequence[str], virtual: bool) -> list[Line2D]:
    from matplotlib.lines import Line2D

    def entry(label: str, marker: str, **style: Any) -> Line2D:
        return Line2D([], [], linestyle="none", marker=marker, label=label, **style)

    entries = [
        entry(name, marker, color=colour, markersize=5)
        for name, colour, marker in zip(class_names, CLASS_COLOURS, CLASS_MARKERS, strict=True)
    ]
    entries.append(entry("outlined: template", "o", markerfacecolor="white", markeredgecolor=INK, markersize=7))
    if virtual:
        entries.append(entry("virtual templates", "x", color=INK, markersize=5))
    return entries


def similarity_heatmaps(matrices: Mapping[str, npt.ArrayLike], class_names: Sequence[str]) -> Figure:
    """Class-pair matrices (K, K) side by side on one colour scale; the diagonal is left out.

    ValueError for no matrix and for one that does not fit the class names.
    """
    tables = {name: np.asarray(matrix, dtype=np.float64).copy() for name, matrix in matrices.items()}
    count = len(class_names)
    for name, table in tables.items():
        if table.shape != (count, count):
            raise ValueError(f"{name!r} has shape {table.shape} for {count} class names")
        np.fill_diagonal(table, np.nan)
    if not tables:
        raise ValueError("there is no similarity matrix to draw")
    low, high = (float(bound(list(tables.values()))) for bound in (np.nanmin, np.nanmax))
    with new_figure(2.5 * len(tables) + 1.1, 3.3, ncols=len(tables), squeeze=False) as (figure, grid):
        for axes, (name, table) in zip(grid[0], tables.items(), strict=True):
            drawn = axes.imshow(table, cmap="Blues", vmin=min(low, 0.0), vmax=high, interpolation="nearest")
            axes.set_title(name)
            axes.set_facecolor(GRID)
            _class_ticks(axes, class_names, axes is grid[0, 0])
        figure.colorbar(drawn, ax=list(grid[0]), shrink=0.75, label="similarity")
        figure.supylabel("Class of the image", fontsize=9)
        figure.supxlabel("Wrong class", fontsize=9)
    return figure


def _class_ticks(axes: Axes, class_names: Sequence[str], first: bool) -> None:
    if len(class_names) > MANY_CLASSES:
        axes.set(xticks=[], yticks=[])
        return
    places = np.arange(len(class_names))
    axes.set_xticks(places, class_names, rotation=90)
    axes.set_yticks(places, class_names if first else [""] * len(places))
    axes.tick_params(length=0, labelsize=7.5)


def virtual_mass_histogram(columns: Sequence[MassColumn], bins: int = 60) -> Figure:
    """Share of samples by probability of the virtual classes, one panel under the other; alpha is marked.

    ValueError for no network.
    """
    if not columns:
        raise ValueError("there is no network with virtual classes to draw")
    edges = np.linspace(0, 1, bins + 1)
    with new_figure(4.4, 1.15 * len(columns) + 0.8, nrows=len(columns), sharex=True, squeeze=False) as (figure, grid):
        for axes, column in zip(grid[:, 0], columns, strict=True):
            shares = np.histogram(column.mass, edges)[0] / max(len(column.mass), 1)
            axes.bar(edges[:-1], shares, 1 / bins, align="edge", color=column.style.colour)
            axes.axvline(column.alpha, color=INK, linewidth=1, linestyle=(0, (4, 3)))
            mean = float(np.mean(column.mass))
            axes.set_title(f"{column.name}: mean {mean:.3f} (alpha {column.alpha:g})", color=column.style.text)
            axes.set(xlim=(0, 1), yticks=[])
            axes.spines["left"].set_visible(False)
        grid[-1, 0].set_xlabel("Probability of the virtual classes together")
        figure.supylabel("Share of samples", fontsize=9)
    return figure
