"""Sections as HTML; every text is escaped, figures are inline SVG."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from itertools import count

from vsmooth.report.drawing.canvas import to_svg
from vsmooth.report.render.table import Cell, Table
from vsmooth.report.section import (
    Bullets,
    Caption,
    Command,
    Details,
    Facts,
    Figure,
    Panels,
    Part,
    Section,
    Text,
)

_VERDICTS = {True: ' class="holds"', False: ' class="fails"', None: ""}


def sections_to_html(sections: Iterable[Section]) -> str:
    """The sections of a page, a `<section>` for each that has parts."""
    renderer = _Renderer()
    return "".join(f"<section>{renderer.section(one, 2)}</section>" for one in sections if one.parts)


def header_to_html(header: Section) -> str:
    """The section at the top of a page."""
    return f"<header>{_Renderer().section(header, 1)}</header>"


class _Renderer:
    """The parts of one page; figures are numbered, which keeps the ids within them apart."""

    def __init__(self) -> None:
        self._numbers = count()

    def section(self, section: Section, level: int) -> str:
        body = "".join(self.part(part, level) for part in section.parts)
        return f"<h{level}>{_escaped(section.title)}</h{level}>{body}"

    def part(self, part: Part, level: int) -> str:
        match part:
            case Text(words, note):
                return f'<p class="note">{_escaped(words)}</p>' if note else f"<p>{_escaped(words)}</p>"
            case Caption(words):
                return f"<p>{_escaped(words)}</p>"
            case Bullets():
                return _bullets(part)
            case Table():
                return to_html(part)
            case Figure():
                return self.figure(part)
            case Panels(figures, least):
                style = "" if least == Panels.least else f' style="--least: {least}px"'
                return f'<div class="figures"{style}>{"".join(map(self.figure, figures))}</div>'
            case Command(words):
                return f"<pre>{escape(words)}</pre>"
            case Facts(values):
                rows = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in values.items())
                return f"<dl>{rows}</dl>"
            case Details(summary, parts):
                body = "".join(self.part(inner, level) for inner in parts)
                return f"<details><summary>{_escaped(summary)}</summary>{body}</details>"
            case Section():
                return self.section(part, level + 1)

    def figure(self, figure: Figure) -> str:
        svg = to_svg(figure.draw(), figure.description, f"f{next(self._numbers)}")
        kind = "" if figure.width == "narrow" else f' class="{figure.width}"'
        return f"<figure{kind}>{svg}</figure>"


def to_html(table: Table) -> str:
    """A table inside a container that scrolls, with its notes; every text is escaped."""
    heads = "".join(f'<th scope="col">{escape(column.title)}</th>' for column in table.columns)
    cells = ("".join(_cell(place, cell) for place, cell in enumerate(row)) for row in table.rows)
    rows = "".join(f"<tr>{row}</tr>" for row in cells)
    notes = "".join(f'<p class="note">{_escaped(note)}</p>' for note in table.notes)
    body = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    kinds = {"compact": table.compact, "prose": any(column.prose for column in table.columns)}
    names = " ".join(["scroll", *(name for name, given in kinds.items() if given)])
    return f'<div class="{names}" tabindex="0" role="region" aria-label="table">{body}</div>{notes}'


def typeset(text: str) -> str:
    """Real minus signs, and no line breaks inside "VS 0.3", "95 %" or "3 seeds"."""
    minus = re.sub(r"(?<![\w.])-(?=[\d.])", "−", text)
    return re.sub(r"(?<=VS|LS) (?=\d)|(?<=\d) (?=%|seeds?\b|points?\b)", "\u00a0", minus)


def _escaped(words: str) -> str:
    return escape(typeset(words))


def _bullets(bullets: Bullets) -> str:
    warnings = "".join(f'<li class="fails">{_escaped(words)}</li>' for words in bullets.warnings)
    names = "|".join(re.escape(_escaped(name)) for name in bullets.names)
    items = (_escaped(words) for words in bullets.sentences)
    bold = (re.sub(f"^({names})", r"<strong>\1</strong>", item) if names else item for item in items)
    return f'<ul class="findings">{warnings}{"".join(f"<li>{item}</li>" for item in bold)}</ul>'


def _cell(place: int, cell: Cell) -> str:
    text = _escaped(cell.marked)
    text = f"<strong>{text}</strong>" if cell.best else text
    detail = f"<small>{_escaped(cell.detail)}</small>" if cell.detail else ""
    return f'<th scope="row">{text}{detail}</th>' if place == 0 else f"<td{_VERDICTS[cell.holds]}>{text}{detail}</td>"
