"""Sections as Markdown, and the files that an analysis leaves in a folder: its text, and its figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vsmooth.atomic import replacing
from vsmooth.report.drawing.saving import save_figure
from vsmooth.report.render.table import Cell, Table
from vsmooth.report.section import Bullets, Command, Details, Facts, Figure, Part, Section, Text, figures_of


class ReportFolder:
    """Files of one analysis in a folder, or nothing at all without one: text and tables at once, figures at the end.

    Figures take seconds, so an analysis that is interrupted there has left its numbers.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._written: dict[str, None] = {}  # in order
        self._figures: dict[str, Figure] = {}

    def write(self, name: str, sections: Iterable[Section]) -> None:
        """Saves sections as one Markdown file, anew for the same name, and keeps their figures for the end."""
        if self.folder is None:
            return
        found = tuple(sections)
        with replacing(self.folder / f"{name}.md") as partial:
            partial.write_text(sections_to_markdown(found), encoding="utf-8")
        self.add(f"{name}.md")
        self._figures |= {figure.name: figure for figure in figures_of(*found)}

    def add(self, name: str) -> None:
        """Counts a file that was written elsewhere among those of the folder."""
        self._written[name] = None

    def finish(self) -> tuple[str, ...]:
        """Draws the figures, saves them as PNG and PDF, and names all files; none without a folder."""
        if self.folder is None:
            return ()
        for name, figure in self._figures.items():
            for path in save_figure(figure.draw(), self.folder, name):
                self.add(path.name)
        return tuple(self._written)


def sections_to_markdown(sections: Iterable[Section]) -> str:
    """Titles, words and tables; sections that are figures alone are left to the files of their figures."""
    return "\n\n".join(filter(None, (_titled(one.title, one.parts, 2) for one in sections))) + "\n"


def _titled(title: str, parts: Iterable[Part], level: int) -> str:
    found = [text for part in parts if (text := _part(part, level))]
    return "\n\n".join([f"{'#' * level} {_escaped(title)}", *found]) if found else ""


def _part(part: Part, level: int) -> str:
    match part:
        case Text(words):
            return _escaped(words)
        case Bullets(sentences, warnings):
            items = [*(f"- **{_escaped(words)}**" for words in warnings), *(f"- {_escaped(w)}" for w in sentences)]
            return "\n".join(items)
        case Table():
            return to_markdown(part)
        case Command(words):
            return f"```\n{words}\n```"
        case Facts(values):
            return "\n".join(f"- {_escaped(name)}: {_escaped(value)}" for name, value in values.items())
        case Details(summary, parts):
            return _titled(summary, parts, level + 1)
        case Section():
            return _titled(part.title, part.parts, level + 1)
        case _:  # a figure, which is a file, or how to read it
            return ""


def to_markdown(table: Table) -> str:
    """A GitHub Markdown table with its notes."""
    titles = [column.title.replace("\n", " ") for column in table.columns]
    sides = [":---" if column.prose else "---:" for column in table.columns[1:]]
    lines = [titles, ["---", *sides]]
    lines += [[_cell(cell) for cell in row] for row in table.rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join((body, *table.notes))


def _cell(cell: Cell) -> str:
    text = f"**{cell.marked}**" if cell.best else cell.marked
    return "<br>".join(_escaped(line).replace("|", r"\|") for line in (text, cell.detail) if line)


def _escaped(words: str) -> str:
    return words.replace("<", "&lt;")
