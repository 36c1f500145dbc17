"""Matplotlib figures from arrays; nothing here opens a window or reads a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsmooth.records.outcomes import Outcomes
from vsmooth.report.comparison.reliability import Floats
from vsmooth.report.drawing.canvas import GRID, INK, new_figure, set_titles
from vsmooth.report.drawing.placing import place_labels, spread
from vsmooth.report.drawing.style import Style, mix_with_white

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW_SAMPLES = 20  # a bin with fewer is drawn pale: its accuracy is mostly noise
HISTOGRAM_BINS = 20
CORRECT, WRONG = "#009e73", "#a5437f"
CORRECT_TEXT, WRONG_TEXT = "#00664a", "#7d2b5e"
@dataclass(frozen=True, eq=False)
class Curve:
    """One label over the epochs: values (seeds, epochs). marked: an epoch of each seed, counted from 1; or none."""

    name: str
    style: Style
    values: Floats
    marked: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Cloud:
    """One label in the plane: one (x, y) per seed."""

    name: str
    style: Style
    x: Floats
    y: Floats


def _shares(found: Outcomes) -> tuple[Floats, Floats]:
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    kinds = found.correct, ~found.correct
    right, wrong = (np.histogram(found.confidence[kind], edges)[0] for kind in kinds)
    return right / max(right.sum(), 1), wrong / max(wrong.sum(), 1)


def tallest_share(found: Outcomes) -> float:
    """The largest share that a confidence histogram of these outcomes shows."""
    return max(float(shares.max()) for shares in _shares(found))


def confidence_histogram(name: str, found: Outcomes, tallest: float | None = None) -> Figure:
    """Confidence of right predictions upwards and of wrong ones downwards, each as a share of its own kind.

    `tallest` fixes the height, so that panels side by side share one scale.
    """
    from matplotlib.ticker import FuncFormatter

    edges, limit = np.linspace(0, 1, HISTOGRAM_BINS + 1), 1.05 * (tallest or tallest_share(found))
    right, wrong = int(found.correct.sum()), int((~found.correct).sum())
    with new_figure(3.4, 2.9) as (figure, axes):
        up, down = _shares(found)
        for shares, colour, hatch in ((up, CORRECT, ""), (-down, WRONG, "///")):
            axes.bar(edges[:-1], shares, 0.92 / HISTOGRAM_BINS, align="edge", color=colour, hatch=hatch,
                     edgecolor="white", linewidth=0)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set(xlim=(0, 1), ylim=(-limit, limit), xlabel="Confidence of the prediction",
                 ylabel="Share of its kind")
        counts = (0.0, f"▲ right: {right:,}", CORRECT_TEXT), (0.42, f"▼ wrong: {wrong:,}", WRONG_TEXT)
        set_titles(axes, name, counts)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):.0%}"))
    return figure


def accuracy_against_ece(clouds: Sequence[Cloud]) -> Figure:
    """A small point per seed and a large one for the mean; accuracy in percent, ECE as a fraction."""
    with new_figure(4.6, 3.4) as (figure, axes):
        for cloud in clouds:
            colour, marker = cloud.style.colour, cloud.style.marker
            axes.scatter(cloud.x, cloud.y, s=22, marker=marker, facecolor=mix_with_white(colour, 0.5),
                         edgecolor=colour, linewidth=0.7)
            axes.scatter(cloud.x.mean(), cloud.y.mean(), s=90, marker=marker, color=colour,
                         edgecolor="white", linewidth=1, zorder=3)
        axes.grid(color=GRID, linewidth=0.7)
        axes.margins(0.12)
        axes.set(xlabel="Test ECE (lower is better)",
                 ylabel="Test accuracy, % (higher is better)")
        axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
        _label_means(figure, axes, clouds)
    return figure


def _label_means(figure: Figure, axes: Axes, clouds: Sequence[Cloud]) -> None:
    figure.draw_without_rendering()  # the layout must be settled before pixels can be compared
    means = np.array([(cloud.x.mean(), cloud.y.mean()) for cloud in clouds])
    points = np.concatenate([np.column_stack([cloud.x, cloud.y]) for cloud in clouds])
    to_pixels, frame = axes.transData.transform, axes.get_window_extent()
    names = [cloud.name for cloud in clouds]
    offsets = place_labels(names, to_pixels(means), to_pixels(points), frame, figure.dpi / 72)
    for cloud, mean, offset in zip(clouds, means, offsets, strict=True):
        axes.annotate(cloud.name, tuple(mean), offset, textcoords="offset points", ha="center", va="center",
                      color=cloud.style.text, fontweight="bold", fontsize=9.5)


def training_curves(curves: Sequence[Curve], ylabel: str, percent: bool = False) -> Figure:
    """Mean over the seeds by epoch, their range shaded, each line named at its end."""
    factor = 100 if percent else 1
    with new_figure(4.2, 3.2) as (figure, axes):
        for curve in curves:
            epochs = np.arange(1, curve.values.shape[1] + 1)
            values = curve.values * factor
            axes.plot(epochs, values.mean(axis=0), curve.style.line, color=curve.style.colour, linewidth=1.6,
                      marker=curve.style.marker if len(epochs) == 1 else None)
            axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=curve.style.colour,
                              alpha=0.15, linewidth=0)
            for row, epoch in zip(values, curve.marked, strict=bool(curve.marked)):
                if epoch <= len(row):
                    axes.plot(epoch, row[epoch - 1], "o", color=curve.style.colour, markersize=5)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.set(xlabel="Epoch", ylabel=ylabel)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0)
        _label_ends(axes, curves, factor)
    return figure


def _label_ends(axes: Axes, curves: Sequence[Curve], factor: float) -> None:
    ends = np.array([curve.values.mean(axis=0)[-1] * factor for curve in curves])
    low, high = axes.get_ylim()
    heights = spread(ends, 0.075 * (high - low))
    heights -= max(0.0, float(heights.max()) - high)
    for curve, end, height in zip(curves, ends, heights, strict=True):
        epoch = curve.values.shape[1]
        axes.annotate(curve.name, (epoch, end), (1.05, float((height - low) / (high - low))),
                      textcoords="axes fraction", va="center", color=curve.style.text, fontweight="bold",
                      annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": curve.style.colour, "linewidth": 0.7,
                                  "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0})
