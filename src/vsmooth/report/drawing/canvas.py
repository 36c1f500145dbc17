"""An empty figure in the style of the page, its titles, and the figure as SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 4  # networks side by side in one figure
INK, GRID = "#333333", "#e3e3e3"
RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vsmooth",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8a8a",
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "text.color": INK,
    "text.parse_math": False,  # names of classes and teachers are no formulas: "$" stands for itself
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
}


@contextmanager
def new_figure(width: float, height: float, **grid: Any) -> Iterator[tuple[Figure, Any]]:
    """A figure of so many inches in the style of the page, and its axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(**grid)


def set_titles(axes: Axes, name: str, notes: Sequence[tuple[float, str, str]]) -> None:
    """The name of a panel, and below it notes of (place from left to right, text, colour)."""
    lines = 1 + max(text.count("\n") for _, text, _ in notes)
    axes.set_title(name, pad=6 + 12 * lines)
    for x, text, colour in notes:
        axes.text(x, 1.025, text, transform=axes.transAxes, va="bottom", fontsize=8.5, color=colour)


def to_svg(figure: Figure, title: str, prefix: str) -> str:
    """The figure as inline SVG that scales with its container; `prefix` keeps ids unique on a page."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context(RC):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    opening = svg[: svg.index(">")]
    sized = re.sub(r' (width|height)="[^"]*"', "", opening)
    named = sized.replace("<svg", f'<svg role="img" aria-label="{escape(title, quote=True)}"', 1)
    return named + svg[len(opening) :]
