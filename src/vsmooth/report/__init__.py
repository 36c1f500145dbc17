"""Tables, figures, findings and the HTML page, made from records only."""

from __future__ import annotations

from vsmooth.report.comparison.findings import Claim, claims, findings
from vsmooth.report.comparison.tables import print_table, result_table, seed_table
from vsmooth.report.page import render_page, write_page
from vsmooth.report.render.table import to_html, to_markdown, to_rich

__all__ = [
    "Claim",
    "claims",
    "findings",
    "print_table",
    "render_page",
    "result_table",
    "seed_table",
    "to_html",
    "to_markdown",
    "to_rich",
    "write_page",
]
