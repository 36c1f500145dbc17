"""The table model, and its terminal, Markdown and HTML renderings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as RichTable

STAR = "★"


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
    """A terminal table; columns that are not essential are left out where `width` is too small."""
    from rich.console import Console

    full = _rich_table(table, range(len(table.columns)))
    if width is None or Console(width=1000).measure(full).maximum <= width:
        return full
    return _rich_table(table, [i for i, column in enumerate(table.columns) if column.essential], narrow=True)


def _rich_table(table: Table, kept: Iterable[int], narrow: bool = False) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    indices = list(kept)
    found = RichTable(show_lines=any(cell.detail for row in table.rows for cell in row))
    for i in indices:
        found.add_column(Text(table.columns[i].title), justify="left" if i == 0 else "right", overflow="fold")
    for row in table.rows:
        cells = []
        for cell in (row[i] for i in indices):
            text = Text(_marked(cell), style="bold" if cell.best else "")
            detail = cell.detail.replace(" [", "\n[") if narrow else cell.detail
            cells.append(text.append(f"\n{detail}", style="not bold dim") if detail else text)
        found.add_row(*cells)
    return found


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
