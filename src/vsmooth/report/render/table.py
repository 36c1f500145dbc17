"""The table model, and its terminal, Markdown and HTML renderings."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import compress, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

STAR = "★"
_SHORTEST_NAME = 10  # columns of a terminal; with fewer the names say nothing


@dataclass(frozen=True)
class Column:
    """A heading, and whether a narrow terminal keeps the column."""

    title: str
    essential: bool = True


@dataclass(frozen=True)
class Cell:
    """A value, a second line below it, and whether it is marked as the best of its column."""

    text: str
    detail: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Columns, rows of cells, and notes to read below."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def to_markdown(table: Table) -> str:
    """A GitHub Markdown table with its notes."""
    titles = [column.title.replace("\n", " ") for column in table.columns]
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1)]
    lines += [[_markdown_cell(cell) for cell in row] for row in table.rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join((body, *table.notes))


def typeset(text: str) -> str:
    """Real minus signs, and no line breaks inside "VS 0.3", "95 %" or "3 seeds"."""
    minus = re.sub(r"(?<![\w.])-(?=[\d.])", "−", text)
    return re.sub(r"(?<=VS|LS) (?=\d)|(?<=\d) (?=%|seeds?\b|points?\b)", "\u00a0", minus)


def to_html(table: Table, kind: str = "") -> str:
    """A table inside a scrolling container of class `kind`, with its notes; every text is escaped."""
    heads = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in table.columns)
    cells = ("".join(_html_cell(i, cell) for i, cell in enumerate(row)) for row in table.rows)
    rows = "".join(f"<tr>{row}</tr>" for row in cells)
    notes = "".join(f'<p class="note">{escape(typeset(note))}</p>' for note in table.notes)
    body = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="scroll {kind}" tabindex="0" role="region" aria-label="table">{body}</div>{notes}'


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


def print_with_notes(table: Table, console: Console, elsewhere: Collection[str] = ()) -> None:
    """Prints a table as wide as the terminal, its notes, and which columns there is no room for.

    `elsewhere`: titles of columns that are printed in another table.
    """
    console.print(to_rich(table, console.width))
    titles = [column.title for column in table.columns if not column.essential and column.title not in elsewhere]
    more = [] if fits(table, console.width) or not titles else [" ".join(title.split()) for title in titles]
    hint = (f"A wider terminal also shows: {'; '.join(more)}.",) if more else ()
    for note in (*table.notes, *hint):
        console.print(note, style="dim", markup=False, highlight=False)


def fits(table: Table, width: int) -> bool:
    """Whether a terminal of so many columns shows the whole table."""
    return _width(table) <= width


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
        found.add_column(Text(column.title), justify="left" if i == 0 else "right", overflow="fold", width=width)
    for row in table.rows if names is None else _with_short_words(table.rows, names):
        cells = []
        for cell in row:
            text = Text(_marked(cell), style="bold" if cell.best else "")
            cells.append(text.append(f"\n{cell.detail}", style="not bold dim") if cell.detail else text)
        found.add_row(*cells)
    return found


def _with_short_words(rows: Sequence[tuple[Cell, ...]], width: int) -> list[tuple[Cell, ...]]:
    words = [word for row in rows for word in row[0].text.split(" ")]
    short = dict(zip(words, shortened(words, width), strict=True))
    return [(replace(row[0], text=" ".join(short[word] for word in row[0].text.split(" "))), *row[1:]) for row in rows]


def _marked(cell: Cell) -> str:
    return f"{STAR} {cell.text}" if cell.best else cell.text


def _markdown_cell(cell: Cell) -> str:
    text = _markdown_text(f"**{_marked(cell)}**" if cell.best else cell.text)
    return f"{text}<br>{_markdown_text(cell.detail)}" if cell.detail else text


def _markdown_text(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _html_cell(index: int, cell: Cell) -> str:
    text = escape(typeset(_marked(cell)))
    text = f"<strong>{text}</strong>" if cell.best else text
    detail = f"<small>{escape(typeset(cell.detail))}</small>" if cell.detail else ""
    return f'<th scope="row">{text}{detail}</th>' if index == 0 else f"<td>{text}{detail}</td>"
