"""What analyses of finished runs print while they run, and the names of the files that they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vsmooth.cli.display import say
from vsmooth.report.render.markdown import ReportFolder


def finish(folder: ReportFolder, console: Console) -> None:
    """Draws what the folder still lacks, and names its files."""
    if written := folder.finish():
        say(console, f"\nIn {folder.folder}: {', '.join(written)}")


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; call what is yielded with (done, total)."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
