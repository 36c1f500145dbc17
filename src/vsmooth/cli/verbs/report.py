"""`vsmooth report`: table and page of a comparison, from its records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from vsmooth.cli.display import say
from vsmooth.cli.verb import Verb
from vsmooth.records.comparison import load_comparison
from vsmooth.report import print_sections, write_page
from vsmooth.report.comparison.sections import results


@dataclass(frozen=True)
class Report(Verb):
    """Rebuild report.html and print the table of a comparison, from its records alone.

    Example: vsmooth report runs/compare
    """

    directory: Annotated[Path, tyro.conf.Positional]
    """the --out of a comparison"""

    def run(self, console: Console, typed: str) -> None:
        show_report(self.directory, console)


def show_report(directory: Path, console: Console) -> None:
    """Write the page and print the table."""
    comparison = load_comparison(directory)
    page = directory / "report.html"
    write_page(comparison, page)
    print_sections((results(comparison),), console)
    say(console, f"Page with pictures: {page}")
