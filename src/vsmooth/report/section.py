"""The results of an analysis as plain values, independent of the form in which they are shown.

An analysis gives its sections once; :mod:`vsmooth.report.render` shows them on a page, in a terminal and as Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vsmooth.report.render.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Width = Literal["narrow", "wide", "full"]


@dataclass(frozen=True)
class Text:
    """A paragraph; a `note` is small print."""

    words: str
    note: bool = False


@dataclass(frozen=True)
class Caption:
    """A paragraph on how to read a figure, for readers who see one."""

    words: str


@dataclass(frozen=True)
class Bullets:
    """Sentences, one below the other, warnings first; `names` are set in bold where a sentence begins with one."""

    sentences: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure that is drawn when it is needed.

    name: of its file, unlike that of every other figure. description: for readers who do not see it.
    """

    name: str
    description: str
    draw: Callable[[], Drawing]
    width: Width = "narrow"


@dataclass(frozen=True)
class Panels:
    """Figures in a row that wraps; `least` is the width of one in pixels."""

    figures: tuple[Figure, ...]
    least: int = 260


@dataclass(frozen=True)
class Command:
    """What was typed."""

    words: str


@dataclass(frozen=True)
class Facts:
    """Values by name."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Details:
    """What most readers skip: folded on a page behind its `summary`, left out in a terminal, whole in Markdown."""

    summary: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, init=False)
class Section:
    """A title, and below it parts in the order of reading, further sections among them."""

    title: str
    parts: tuple[Part, ...]

    def __init__(self, title: str, *parts: Part) -> None:
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "parts", parts)


Part = Text | Caption | Bullets | Table | Figure | Panels | Command | Facts | Details | Section


def figures_of(*parts: Part) -> Iterator[Figure]:
    """The figures among the parts and within them, in the order of reading."""
    for part in parts:
        if isinstance(part, Figure):
            yield part
        elif isinstance(part, Panels):
            yield from part.figures
        elif isinstance(part, Section | Details):
            yield from figures_of(*part.parts)


def tables_of(*parts: Part) -> Iterator[Table]:
    """The tables among the parts and within them, in the order of reading."""
    for part in parts:
        if isinstance(part, Table):
            yield part
        elif isinstance(part, Section | Details):
            yield from tables_of(*part.parts)
