"""Tables, figures, findings and the HTML page, made from records only."""

from __future__ import annotations

from vsmooth.report.findings import Claim, claims, findings
from vsmooth.report.page import render_page, write_page
from vsmooth.report.render import to_html, to_markdown, to_rich
from vsmooth.report.tables import print_table, result_table, seed_table

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
