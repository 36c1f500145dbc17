"""What analyses of finished runs print and save: tables, figures, a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vsmooth.atomic import replacing
from vsmooth.cli.display import say
from vsmooth.report import to_markdown
from vsmooth.report.drawing.saving import save_figure
from vsmooth.report.render.table import Table, print_with_notes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show_table(title: str, table: Table, console: Console) -> None:
    """A title, the table as wide as the terminal allows, and its notes."""
    say(console, f"\n{title}", style="bold")
    print_with_notes(table, console)


class Output:
    """Files of one analysis in a folder, or nothing at all without one: tables at once, figures at the end.

    Figures take seconds, so an analysis that is interrupted there has left its numbers.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.written: list[str] = []
        self._figures: dict[str, Callable[[], Figure]] = {}

    def figure(self, name: str, draw: Callable[[], Figure]) -> None:
        """A figure that :meth:`finish` draws and saves as PNG and PDF."""
        self._figures[name] = draw

    def tables(self, name: str, tables: dict[str, Table]) -> None:
        """Saves tables by title as one Markdown file."""
        if self.folder is not None:
            text = "\n\n".join(f"## {title}\n\n{to_markdown(table)}" for title, table in tables.items())
            with replacing(self.folder / f"{name}.md") as partial:
                partial.write_text(text + "\n", encoding="utf-8")
            self.written.append(f"{name}.md")

    def finish(self, console: Console) -> None:
        """Draws the figures and names what was written."""
        if self.folder is None:
            return
        for name, draw in self._figures.items():
            self.written += [path.name for path in save_figure(draw(), self.folder, name)]
        say(console, f"\nIn {self.folder}: {', '.join(dict.fromkeys(self.written))}")


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; call what is yielded with (done, total)."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
