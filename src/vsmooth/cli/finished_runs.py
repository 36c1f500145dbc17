"""The options that every analysis of finished runs shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from vsmooth.cli.images import load_data
from vsmooth.cli.verb import Verb
from vsmooth.data import Dataset
from vsmooth.experiments.run import read_spec
from vsmooth.experiments.run_paths import gather_runs
from vsmooth.records.comparison import Comparison


@dataclass(frozen=True)
class RunImages(Verb):
    """The options of every command that reads the images of finished runs."""

    data: str | None = None
    """where the images are now, if not where the runs were trained; they must be the same images"""
    skip_broken: bool = False
    """skip images that cannot be read, as the training did"""

    def load_for(self, run: Path, console: Console) -> Dataset:
        """The images of the run in a folder."""
        spec = read_spec(run)
        return load_data(self.data or spec.data, spec.image_size, self.skip_broken, console)


@dataclass(frozen=True)
class FinishedRuns(RunImages):
    """The options of every command that analyses finished runs."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """run folders, or the --out of a comparison"""
    out: Path | None = None
    """folder for tables (Markdown) and figures (PNG, PDF); None: they are not written"""

    def gather(self) -> Comparison:
        """The runs as one comparison; ``ValueError`` where none are named."""
        if not self.runs:
            raise ValueError(f"name a run folder or the --out of a comparison: vsmooth {self.name()} RUN")
        return gather_runs(self.runs)

    def load_images(self, comparison: Comparison, console: Console) -> Dataset:
        """The images that the runs share."""
        return self.load_for(Path(comparison.runs[0].folder), console)
