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
from vsmooth.report import to_markdown, to_rich
from vsmooth.report.render import Table
from vsmooth.report.saving import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show_table(title: str, table: Table, console: Console) -> None:
    """A title, the table as wide as the terminal allows, and its notes."""
    say(console, f"\n{title}", style="bold")
    console.print(to_rich(table, console.width))
    for note in table.notes:
        console.print(note, style="dim", markup=False, highlight=False)


class Output:
    """Files of one analysis in a folder, or nothing at all without one."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.written: list[str] = []

    def figure(self, name: str, draw: Callable[[], Figure]) -> None:
        """Draws and saves a figure as PNG and PDF."""
        if self.folder is not None:
            self.written += [path.name for path in save_figure(draw(), self.folder, name)]

    def tables(self, name: str, tables: dict[str, Table]) -> None:
        """Saves tables by title as one Markdown file."""
        if self.folder is not None:
            text = "\n\n".join(f"## {title}\n\n{to_markdown(table)}" for title, table in tables.items())
            with replacing(self.folder / f"{name}.md") as partial:
                partial.write_text(text + "\n", encoding="utf-8")
            self.written.append(f"{name}.md")

    def say(self, console: Console) -> None:
        """Names what was written."""
        if self.written:
            say(console, f"\nIn {self.folder}: {', '.join(self.written)}")


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; call what is yielded with (done, total)."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
