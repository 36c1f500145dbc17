"""Figures of calibration from arrays: reliability diagrams, ECE over alphas, temperature scaling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsmooth.report.calibration.alpha_grid import AlphaGrid
from vsmooth.report.comparison.figures import FEW_SAMPLES
from vsmooth.report.comparison.reliability import Bins, Floats
from vsmooth.report.drawing.canvas import GRID, INK, new_figure, set_titles
from vsmooth.report.drawing.placing import spread
from vsmooth.report.drawing.style import BASE_COLOURS, MARKERS, TEXT_COLOURS, Style, mix_with_white

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAP = "#c1272d"


@dataclass(frozen=True, eq=False)
class ReliabilityPanel:
    """One run's bins, and a note under its name; intervals only where its outcomes are independent."""

    name: str
    bins: Bins
    style: Style
    note: str = ""
    intervals: bool = True


@dataclass(frozen=True, eq=False)
class ScaledRun:
    """ECE of one label before and after temperature scaling, (S,) by seed, and the temperatures."""

    name: str
    style: Style
    before: Floats
    after: Floats
    temperatures: Floats


def reliability_diagrams(panels: Sequence[ReliabilityPanel]) -> Figure:
    """Accuracy by confidence bin against the diagonal, the gap hatched, the share of samples below.

    Panels stand side by side on one scale; thin lines are the accuracies' intervals, pale bars have few
    samples. ValueError for no panels.
    """
    if not panels:
        raise ValueError("there is no run to draw a reliability diagram of")
    from matplotlib.ticker import PercentFormatter

    grid = {"ncols": len(panels), "squeeze": False, "sharey": "row", "gridspec_kw": {"height_ratios": [3.4, 1]}}
    with new_figure(0.6 + 2.8 * len(panels), 3.9, nrows=2, sharex=True, **grid) as (figure, axes):
        for (top, bottom), panel in zip(axes.T, panels, strict=True):
            _draw_bins(top, panel)
            bins = panel.bins
            width = np.diff(bins.edges)
            bottom.bar(bins.edges[:-1] + width / 2, bins.counts / max(bins.counts.sum(), 1), width * 0.92,
                       color="#8a8a8a")
            bottom.set(xlabel="Confidence of the prediction")
        axes[0, 0].set(ylabel="Accuracy in the bin", xlim=(0, 1), ylim=(0, 1))
        axes[1, 0].set(ylabel="Samples")
        axes[1, 0].yaxis.set_major_formatter(PercentFormatter(1, 0))
        axes[1, 0].locator_params(axis="y", nbins=3)
    return figure


def _draw_bins(axes: Axes, panel: ReliabilityPanel) -> None:
    full = panel.bins.counts > 0
    accuracy, confidence = panel.bins.accuracy[full], panel.bins.confidence[full]
    width = np.diff(panel.bins.edges)[full]
    centres = panel.bins.edges[:-1][full] + width / 2
    bars = axes.bar(centres, accuracy, width * 0.92, color=panel.style.colour)
    gaps = axes.bar(centres, confidence - accuracy, width * 0.92, bottom=accuracy, facecolor="none",
                    edgecolor=GAP, hatch="/////", linewidth=0.6)
    for bar, gap, count in zip(bars, gaps, panel.bins.counts[full], strict=True):
        strength = 0.35 if count < FEW_SAMPLES else 1.0
        bar.set_alpha(strength)
        gap.set_alpha(strength)
    if panel.intervals:
        for colour, thickness in (("white", 2.6), (INK, 1.1)):  # a pale rim, or dark bars would hide the line
            axes.vlines(centres, panel.bins.low[full], panel.bins.high[full], color=colour, linewidth=thickness)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 3)))
    set_titles(axes, panel.name, [(0.0, panel.note, INK)])


def ece_against_alpha(grids: Sequence[AlphaGrid]) -> Figure:
    """Mean test ECE by alpha, the range over the seeds shaded; a ring marks the alpha of best accuracy.

    One-hot, where it is among the grids, is a horizontal line. The scale is logarithmic: the ECE of LS spans
    decades. ValueError for no grids.
    """
    if not grids:
        raise ValueError("there is no label to draw over alpha")
    with new_figure(4.8, 3.4) as (figure, axes):
        ends = [_draw_grid(axes, grid) for grid in grids]
        axes.set(yscale="log", xlabel="Alpha", ylabel="Test ECE (lower is better)")
        _number_ticks(axes)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        _name_ends(axes, ends, grids)
        axes.text(0, 1.02, "◯ alpha of best validation accuracy", transform=axes.transAxes, fontsize=8.5)
    return figure


def _draw_grid(axes: Axes, grid: AlphaGrid) -> float:
    """Draws one scheme and returns the ECE at which its line ends."""
    colour, mean = BASE_COLOURS.get(grid.label, INK), np.nanmean(grid.ece, axis=0)
    low, high = np.nanmin(grid.ece, axis=0), np.nanmax(grid.ece, axis=0)
    if grid.label == "one-hot":
        axes.axhline(mean[0], color=colour, linewidth=1.4, linestyle=(0, (4, 3)))
        axes.axhspan(low[0], high[0], color=colour, alpha=0.15, linewidth=0)
    else:
        axes.plot(grid.alphas, mean, color=colour, marker=MARKERS.get(grid.label), markersize=4, linewidth=1.6)
        axes.fill_between(grid.alphas, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(grid.alphas[grid.best], mean[grid.best], "o", markersize=12, markerfacecolor="none",
                  markeredgecolor=colour, markeredgewidth=1.4)
    return float(mean[-1])


def _number_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _name_ends(axes: Axes, ends: Sequence[float], grids: Sequence[AlphaGrid]) -> None:
    """Names right of the frame at the height where each line ends, apart from each other."""
    low, high = np.log(axes.get_ylim())
    heights = spread((np.log(ends) - low) / (high - low), 0.075)
    for grid, height in zip(grids, heights, strict=True):
        axes.text(1.02, float(height), grid.name, transform=axes.transAxes, va="center", fontweight="bold",
                  color=TEXT_COLOURS.get(grid.label, INK))


def temperature_bars(runs: Sequence[ScaledRun], ylabel: str = "Test ECE (lower is better)") -> Figure:
    """A metric of each label before (pale) and after temperature scaling, means over the seeds, seeds as dots.

    The mean fitted temperature stands under each name. ValueError for no runs.
    """
    if not runs:
        raise ValueError("there is no label to draw before and after temperature scaling")
    with new_figure(max(3.4, 1.4 + 0.95 * len(runs)), 3.2) as (figure, axes):
        for place, run in enumerate(runs):
            for side, values in ((-0.2, run.before), (0.2, run.after)):
                before = side < 0
                colour = mix_with_white(run.style.colour, 0.55) if before else run.style.colour
                axes.bar(place + side, np.mean(values), 0.36, color=colour, hatch="///" if before else "",
                         edgecolor="white", linewidth=0)
                if len(values) > 1:
                    axes.plot(np.full(len(values), place + side), values, ".", color=INK, markersize=3.5)
        names = [f"{run.name}\nT = {np.mean(run.temperatures):.2f}" for run in runs]
        axes.set_xticks(range(len(runs)), names)
        axes.tick_params(axis="x", length=0)
        axes.set(ylabel=ylabel)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.text(0, 1.02, "pale: before, full: after temperature scaling", transform=axes.transAxes, fontsize=8.5)
    return figure
