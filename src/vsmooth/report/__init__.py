"""Tables, figures, findings and the HTML page, made from records only."""

from __future__ import annotations

from vsmooth.report.comparison.findings import Claim, claims, findings
from vsmooth.report.comparison.tables import result_table, seed_table
from vsmooth.report.page import page_sections, render_page, write_page
from vsmooth.report.render.html import sections_to_html, to_html
from vsmooth.report.render.markdown import sections_to_markdown, to_markdown
from vsmooth.report.render.terminal import print_sections, to_rich
from vsmooth.report.section import Section

__all__ = [
    "Claim",
    "Section",
    "claims",
    "findings",
    "page_sections",
    "print_sections",
    "render_page",
    "result_table",
    "sections_to_html",
    "sections_to_markdown",
    "seed_table",
    "to_html",
    "to_markdown",
    "to_rich",
    "write_page",
]
