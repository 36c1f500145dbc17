"""Sections in a terminal: titles, words and tables as wide as it is; figures are left to files and pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import compress
from typing import TYPE_CHECKING

from vsmooth.report.render.table import Cell, Table, shortened
from vsmooth.report.section import Bullets, Command, Facts, Part, Section, Text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

_SHORTEST_NAME = 10  # columns of a terminal; with fewer the names say nothing


def print_sections(sections: Iterable[Section], console: Console) -> None:
    """Prints those that say something without their figures, each below its title."""
    for section in sections:
        if any(map(_is_shown, section.parts)):
            _say(console, f"\n{section.title}", "bold")
            for part in section.parts:
                _print_part(part, console)


def _is_shown(part: Part) -> bool:
    if isinstance(part, Section):
        return any(map(_is_shown, part.parts))
    return isinstance(part, Text | Bullets | Table | Command | Facts)


def _print_part(part: Part, console: Console) -> None:
    match part:
        case Text(words, note):
            _say(console, words, "dim" if note else "")
        case Bullets(sentences, warnings):
            for words in warnings:
                _say(console, words, "red")
            for words in sentences:
                _say(console, words)
        case Table():
            print_with_notes(part, console)
        case Command(words):
            _say(console, words)
        case Facts(values):
            for name, value in values.items():
                _say(console, f"{name}: {value}")
        case Section():
            print_sections((part,), console)
        case _:  # a figure, how to read it, or what is folded away
            pass


def _say(console: Console, words: str, style: str = "") -> None:
    console.print(words, style=style, markup=False, highlight=False)


def print_with_notes(table: Table, console: Console) -> None:
    """Prints a table as wide as the terminal, its notes, which columns there is no room for, and its overflow."""
    whole, overflow = fits(table, console.width), table.overflow
    console.print(to_rich(table, console.width))
    elsewhere = () if overflow is None else tuple(column.title for column in overflow.columns)
    left_out = (column.title for column in table.columns if not column.essential and column.title not in elsewhere)
    more = [] if whole else [" ".join(title.split()) for title in left_out]
    hint = (f"A wider terminal also shows: {'; '.join(more)}.",) if more else ()
    for note in (*table.notes, *hint):
        _say(console, note, "dim")
    if overflow is not None and not whole:
        print_with_notes(overflow, console)


def to_rich(table: Table, width: int | None = None) -> RichTable:
    """A terminal table. Where `width` is too small, columns that are not essential are left out; if it still is, names
    are broken between words and long words lose their middle, so that the numbers stay whole.
    """
    if width is None or fits(table, width):
        return _rich_table(table)
    essential = tuple(column.essential for column in table.columns)
    narrow = Table(
        tuple(compress(table.columns, essential)),
        tuple(tuple(_in_lines(cell) for cell in compress(row, essential)) for row in table.rows),
    )
    excess, longest = _width(narrow) - width, max(len(row[0].text) for row in narrow.rows)
    if excess <= 0 or longest <= _SHORTEST_NAME:
        return _rich_table(narrow)
    return _rich_table(narrow, max(_SHORTEST_NAME, longest - excess))


def fits(table: Table, width: int) -> bool:
    """Whether a terminal of so many columns shows the whole table."""
    return _width(table) <= width


def _width(table: Table) -> int:
    from rich.console import Console

    return Console(width=1000).measure(_rich_table(table)).maximum


def _in_lines(cell: Cell) -> Cell:
    return replace(cell, detail=cell.detail.replace(" [", "\n["))


def _rich_table(table: Table, names: int | None = None) -> RichTable:
    """`names`: width of the first column, if it must be narrower than its words."""
    from rich.table import Table as RichTable
    from rich.text import Text

    found = RichTable(show_lines=any(cell.detail for row in table.rows for cell in row))
    for i, column in enumerate(table.columns):
        width = names if i == 0 else None
        left = i == 0 or column.prose
        found.add_column(Text(column.title), justify="left" if left else "right", overflow="fold", width=width)
    for row in table.rows if names is None else _with_short_words(table.rows, names):
        cells = []
        for cell in row:
            text = Text(cell.marked, style="bold" if cell.best else "")
            cells.append(text.append(f"\n{cell.detail}", style="not bold dim") if cell.detail else text)
        found.add_row(*cells)
    return found


def _with_short_words(rows: Sequence[tuple[Cell, ...]], width: int) -> list[tuple[Cell, ...]]:
    words = [word for row in rows for word in row[0].text.split(" ")]
    short = dict(zip(words, shortened(words, width), strict=True))
    return [(replace(row[0], text=" ".join(short[word] for word in row[0].text.split(" "))), *row[1:]) for row in rows]
