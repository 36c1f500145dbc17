"""The report as one self-contained HTML page: words first, then the table, then the pictures."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path

from vsmooth.atomic import replacing
from vsmooth.records.comparison import Comparison
from vsmooth.report.calibration import sections as calibration
from vsmooth.report.comparison import sections as compared
from vsmooth.report.comparison.training_sections import training_sections
from vsmooth.report.inspection import sections as inspection
from vsmooth.report.render.html import header_to_html, sections_to_html
from vsmooth.report.robust import sections as robust
from vsmooth.report.section import Section
from vsmooth.report.shift import sections as shift

ANALYSES = (compared, calibration, shift, inspection, robust)  # each gives its sections


def write_page(comparison: Comparison, path: str | Path) -> Path:
    """Writes the page, whole or not at all; it needs no network. ValueError if predictions are missing."""
    path = Path(path)
    page = render_page(comparison)
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def render_page(comparison: Comparison) -> str:
    """The page as a string."""
    css = files("vsmooth.report").joinpath("page.css").read_text(encoding="utf-8")
    first = comparison.runs[0]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>vsmooth: {escape(first.model)} on {escape(first.data)}</title><style>{css}</style></head><body><main>"
        f"{header_to_html(compared.header(comparison))}{sections_to_html(page_sections(comparison))}"
        "</main></body></html>\n"
    )


def page_sections(comparison: Comparison) -> tuple[Section, ...]:
    """Those of every analysis, then how the results came about."""
    found = (section for analysis in ANALYSES for section in analysis.sections(comparison))
    return *found, *training_sections(comparison)
