"""Pieces of the page: sections, paragraphs, framed figures; every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from vsmooth.report.comparison.figures import to_svg
from vsmooth.report.render.table import typeset

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def section(title: str, body: str) -> str:
    """A section with a heading; nothing at all for an empty body."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def escaped(words: str) -> str:
    """Words, typeset and escaped."""
    return escape(typeset(words))


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of class `kind`."""
    return f'<p class="{kind}">{escaped(words)}</p>' if kind else f"<p>{escaped(words)}</p>"


def bullets(sentences: Sequence[str]) -> str:
    """A list of sentences."""
    return f'<ul class="findings">{"".join(f"<li>{escaped(sentence)}</li>" for sentence in sentences)}</ul>'


def framed(figure: Figure, title: str, prefix: str, kind: str = "") -> str:
    """A figure as inline SVG in a frame of class `kind`; `title` is its text for readers who do not see it."""
    svg = to_svg(figure, title, prefix)
    return f'<figure class="{kind}">{svg}</figure>' if kind else f"<figure>{svg}</figure>"


def side_by_side(figures: Sequence[str], least: str = "") -> str:
    """Framed figures in a row that wraps; `least` is the width of one."""
    style = f' style="--least: {least}"' if least else ""
    return f'<div class="figures"{style}>{"".join(figures)}</div>'
