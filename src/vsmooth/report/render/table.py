"""The table model, which every renderer shows: columns, rows of cells, notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

STAR = "★"
_MARKS = {True: "✓ ", False: "✗ ", None: ""}


@dataclass(frozen=True)
class Column:
    """A heading, and whether a narrow terminal keeps the column; `prose`: sentences, which may be broken."""

    title: str
    essential: bool = True
    prose: bool = False


@dataclass(frozen=True)
class Cell:
    """A value, a second line below it, and whether it is marked as the best of its column.

    `holds` marks the verdict on a claim: it holds, it does not, or (None) this is no verdict, or none was possible.
    """

    text: str
    detail: str = ""
    best: bool = False
    holds: bool | None = None

    @property
    def marked(self) -> str:
        """The text behind its mark."""
        return f"{STAR} {self.text}" if self.best else f"{_MARKS[self.holds]}{self.text}"


@dataclass(frozen=True)
class Table:
    """Columns, rows of cells, and notes to read below.

    `compact`: a page makes it as wide as its text, not as the page. `overflow`: what a terminal that is too narrow
    prints below, with columns for which it has no room.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    compact: bool = False
    overflow: Table | None = None


def shortened(names: Sequence[str], width: int) -> list[str]:
    """The names with the middle of those left out that are longer than `width`.

    Where that would make two of them the same, what all long ones begin with is left out instead.
    """
    long = sorted({name for name in names if len(name) > width})
    end = (width - 1) // 2
    short = {name: f"{name[: width - 1 - end]}…{name[len(name) - end :]}" for name in long}
    if len(set(short.values())) < len(long):
        # Of sorted names, what the first and the last share all share.
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(long[0], long[-1], strict=False)))
        short = {name: _cut(f"…{name[max(0, shared - 1) :]}", width) for name in long}
    return [short.get(name, name) for name in names]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
