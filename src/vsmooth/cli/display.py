"""One progress display for a comparison: the runs, and the epochs of the run at hand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vsmooth.experiments.compare import CompareListener
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.records.run import BEST, EpochRecord, RunRecord

# A log file gets a line a minute, a terminal a moving bar.
SECONDS_BETWEEN_LINES = 60.0


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print one line as it is: no markup in brackets, no break inside a path."""
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def count_of(number: int, noun: str) -> str:
    """ "1 epoch", "20 epochs", "1,000 seeds": a number and its noun, whose plural takes an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def say_metrics(record: RunRecord, folder: Path, console: Console) -> None:
    """A run, where it is, and its test metrics, one a line."""
    say(console, f"{record.name}, seed {record.seed}: {folder}")
    best = {} if record.best is None else {f"{BEST}{name}": value for name, value in record.best.metrics.items()}
    for name, value in {**record.metrics, **best}.items():
        if name == f"{BEST}samples":
            continue
        number = f"{value:,.0f}" if name == "samples" else f"{value:,.4f}"
        say(console, f"  {name.replace('_', ' '):16} {number}")


class Display(CompareListener):
    """Bars on a terminal, a line an epoch (at most one a minute) elsewhere."""

    def __init__(self, console: Console, teachers: Mapping[str, str] | None = None) -> None:
        """``teachers``: their names by fingerprint."""
        self.console, self.teachers = console, teachers or {}
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal or console.quiet,
        )
        self.runs = self.progress.add_task("runs", total=None, note="", visible=False)
        self.steps = self.progress.add_task("steps", total=None, note="", visible=False)
        self.name = ""
        self.epochs = 0
        self._line_at = 0.0

    def __enter__(self) -> Display:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def on_run(self, done: int, total: int, spec: RunSpec) -> None:
        self.name = f"{self._what(spec)}, seed {spec.seed}"
        self.epochs = spec.epochs
        self.progress.update(self.runs, completed=done, total=total, visible=total > 1)
        self.progress.reset(self.steps, description=self.name, total=None, note="", visible=True)

    def _what(self, spec: RunSpec) -> str:
        if spec.method.teacher:
            return f"{spec.method.name} from {self.teachers.get(spec.method.teacher, 'a teacher')}"
        own = " ".join(filter(None, (spec.method.name, spec.step.name, spec.objective.text)))
        return "plain" if self.teachers else own

    def on_step(self, step: int, total: int, loss: float) -> None:
        self.progress.update(self.steps, completed=step, total=total)

    def on_epoch(self, record: EpochRecord) -> None:
        parts = "".join(f" {name} {value:.3f}" for name, value in record.parts.items())
        note = (
            f"epoch {record.epoch}/{self.epochs}  loss {record.loss:.3f}{f' ({parts.strip()})' if parts else ''}  "
            f"validation accuracy {100 * record.validation['accuracy']:.1f} %{_under_attack(record)}  "
            f"{record.images_per_second:,.0f} images/s"
        )
        self.progress.update(self.steps, note=note)
        last = record.epoch == self.epochs
        if not self.console.is_terminal and (last or time.monotonic() - self._line_at >= SECONDS_BETWEEN_LINES):
            self._line_at = time.monotonic()
            say(self.console, f"{self.name}: {note}")

    def on_left_out(self, names: tuple[str, ...]) -> None:
        text = (
            f"no longer in table and page, which show only the last command: {'; '.join(names)}. These runs are kept; "
            "a command that names them again shows them again"
        )
        say(self.console, text, style="yellow")

    def on_message(self, text: str) -> None:
        say(self.console, f"{self.name}: {text}")


def _under_attack(record: EpochRecord) -> str:
    """" (32.5 % under PGD)", where the method watches that."""
    robust = record.validation.get("robust_accuracy")
    return "" if robust is None else f" ({100 * robust:.1f} % under PGD)"
