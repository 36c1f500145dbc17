"""Figures of robust evaluation from arrays: accuracy by epsilon and by steps, adversarial images, loss surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsmooth.report.comparison.figures import CORRECT_TEXT
from vsmooth.report.comparison.reliability import Floats
from vsmooth.report.drawing.canvas import GRID, INK, new_figure
from vsmooth.report.drawing.placing import spread
from vsmooth.report.drawing.style import Style, mix_with_white

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import ContourSet
    from matplotlib.figure import Figure

WRONG = "#a3282c"
SURFACE_LEVELS = 13
LEAST_SPAN = 1e-6  # of a loss; a flatter one has one colour


@dataclass(frozen=True, eq=False)
class RobustCurve:
    """One network: accuracy under attack, a fraction (P,), by epsilon or steps (P,), and the ends of its intervals."""

    name: str
    style: Style
    x: Floats
    accuracy: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class LossSurface:
    """One network: loss (A, B) around a sample, at steps along the gradient's sign (A,) and a random sign (B,)."""

    name: str
    along_gradient: Floats
    along_random: Floats
    loss: Floats
    note: str = ""


def accuracy_against_epsilon(
    curves: Sequence[RobustCurve], xlabel: str = "Epsilon", ylabel: str = "Accuracy under attack, %"
) -> Figure:
    """Accuracy by the radius of the ball, 95 % intervals shaded; an honest attack brings it to 0.

    ValueError for no network.
    """
    if not curves:
        raise ValueError("there is no network to draw over epsilon")
    with new_figure(4.8, 3.2) as (figure, axes):
        _draw_curves(axes, curves)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.set_xlim(left=0)
        axes.margins(x=0)
        axes.legend(loc="upper right", frameon=False)  # curves fall, and end at different radii
    return figure


def accuracy_against_steps(curves: Sequence[RobustCurve], ylabel: str = "Accuracy under attack, %") -> Figure:
    """Accuracy by the number of steps of one attack, 95 % intervals shaded; a strong enough attack has levelled off.

    ValueError for no network.
    """
    if not curves:
        raise ValueError("there is no network to draw over steps")
    from matplotlib.ticker import FixedLocator, NullLocator

    with new_figure(4.8, 3.2) as (figure, axes):
        _draw_curves(axes, curves)
        axes.set(xscale="log", xlabel="Steps of the attack", ylabel=ylabel)
        steps = sorted({int(step) for curve in curves for step in curve.x})
        axes.xaxis.set_major_locator(FixedLocator(steps))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([f"{step:,}" for step in steps])
        axes.margins(x=0.03)
        _name_curves(axes, curves)
    return figure


def _draw_curves(axes: Axes, curves: Sequence[RobustCurve]) -> None:
    for curve in curves:
        low, high = 100 * np.asarray(curve.low), 100 * np.asarray(curve.high)
        axes.fill_between(curve.x, low, high, color=mix_with_white(curve.style.colour, 0.2), alpha=0.15, linewidth=0)
    for curve in curves:  # above the bands of all
        axes.plot(curve.x, 100 * np.asarray(curve.accuracy), curve.style.line, color=curve.style.colour,
                  marker=curve.style.marker, markersize=4, linewidth=1.6, clip_on=False, zorder=3, label=curve.name)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    highest = 100 * max(float(np.max(curve.high)) for curve in curves)
    axes.set_ylim(0, min(100.0, 1.06 * highest) or 100.0)


def _name_curves(axes: Axes, curves: Sequence[RobustCurve]) -> None:
    """Names right of the frame at the heights where the lines end; where ends coincide, the better network above."""
    top = axes.get_ylim()[1]
    ends = np.array([100 * float(curve.accuracy[-1]) / top for curve in curves])
    order = np.array([float(np.mean(curve.accuracy)) for curve in curves])
    heights = spread(ends + 1e-6 * order, 0.085)
    heights += max(0.0, 0.02 - float(heights.min()))
    for curve, end, height in zip(curves, ends, heights, strict=True):
        axes.annotate(curve.name, (float(curve.x[-1]), end * top), (1.05, float(height)), textcoords="axes fraction",
                      va="center", color=curve.style.text, fontweight="bold", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": curve.style.colour, "linewidth": 0.7,
                                  "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 2})


def adversarial_grid(
    images: npt.ArrayLike,
    adversarial: npt.ArrayLike,
    *,
    right: Sequence[str] = (),
    wrong: Sequence[str] = (),
) -> Figure:
    """A column for each image: as it is, what the attack adds, and the two together, with the decisions on both.

    images, adversarial (N, C, H, W) in [0, 1]. The change is drawn around grey, enlarged until the largest of all is
    black or white; the title says how many times. right, wrong: the decision on each image and on each attacked one.
    ValueError for no images, other shapes, and decisions for another number of images.
    """
    before, after = (np.asarray(values, dtype=np.float64) for values in (images, adversarial))
    if before.ndim != 4 or len(before) == 0 or before.shape != after.shape:
        raise ValueError(f"a grid needs two times images (N, C, H, W), got {before.shape} and {after.shape}")
    for words in (right, wrong):
        if len(words) not in (0, len(before)):
            raise ValueError(f"there are {len(before)} images and {len(words)} decisions")
    scale = 0.5 / (float(np.abs(after - before).max()) or 0.5)
    changes = np.clip(0.5 + scale * (after - before), 0, 1)
    columns, titles = len(before), ("image", f"change\nx {scale:.3g}", "image +\nchange")
    with new_figure(1.05 * columns + 0.8, 3.9, nrows=3, ncols=columns, squeeze=False) as (figure, grid):
        figure.set_layout_engine("compressed", w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
        for row, (pictures, title) in enumerate(zip((before, changes, after), titles, strict=True)):
            for axes, picture in zip(grid[row], pictures, strict=True):
                _show(axes, picture)
            grid[row, 0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8.5, labelpad=8)
        for row, words, colour in ((0, right, CORRECT_TEXT), (2, wrong, WRONG)):
            for axes, decision in zip(grid[row], words or [""] * columns, strict=True):
                axes.set_title(decision, fontsize=8.5, loc="center", fontweight="normal", color=colour, pad=3)
    return figure


def _show(axes: Axes, picture: Floats) -> None:
    shown = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    axes.imshow(shown, cmap="gray" if shown.ndim == 2 else None, vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=True, color=GRID)


def loss_surface_figure(surfaces: Sequence[LossSurface], unit: str = "epsilon") -> Figure:
    """Contours of the loss around one sample, a panel for each network, each with a scale of its own.

    A slope along the gradient is what an attack follows; ridges across it, or a plain with a hole, hide it. ValueError
    for no network and for a loss that does not fit its axes.
    """
    if not surfaces:
        raise ValueError("there is no loss surface to draw")
    for surface in surfaces:
        expected = len(surface.along_gradient), len(surface.along_random)
        if np.shape(surface.loss) != expected:
            raise ValueError(f"{surface.name!r} has a loss of shape {np.shape(surface.loss)}, its axes are {expected}")
    from matplotlib.ticker import MaxNLocator

    with new_figure(2.9 * len(surfaces) + 0.6, 3.1, ncols=len(surfaces), squeeze=False) as (figure, grid):
        for axes, surface in zip(grid[0], surfaces, strict=True):
            drawn = _draw_surface(axes, surface)
            label = "loss, nats" if axes is grid[0, -1] else ""
            bar = figure.colorbar(drawn, ax=axes, shrink=0.85, label=label, format="%.3g", ticks=MaxNLocator(5))
            bar.ax.tick_params(labelsize=7.5)
            axes.set_title(surface.name, pad=18 if surface.note else 6)
            axes.text(0, 1.025, surface.note, transform=axes.transAxes, va="bottom", fontsize=8)
            axes.set(xlabel=f"along the steepest ascent, {unit}")
        grid[0, 0].set_ylabel(f"along a random direction, {unit}")
    return figure


def _draw_surface(axes: Axes, surface: LossSurface) -> ContourSet:
    """Filled contours; the dot is the sample itself."""
    loss = np.ma.masked_invalid(np.asarray(surface.loss, dtype=np.float64).T)
    low, high = float(loss.min()), float(loss.max())
    levels = np.linspace(low, max(high, low + LEAST_SPAN), SURFACE_LEVELS)
    drawn = axes.contourf(surface.along_gradient, surface.along_random, loss, levels=levels, cmap="cividis")
    axes.contour(drawn, colors="white", linewidths=0.4, alpha=0.6)
    axes.plot(0, 0, "o", markersize=5, markerfacecolor="white", markeredgecolor=INK)
    for side in axes.spines.values():
        side.set(visible=True, color=GRID)
    return drawn
