"""`vsmooth evaluate`: a finished run on its test split again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from vsmooth.cli.display import say_metrics
from vsmooth.cli.finished_runs import RunImages
from vsmooth.experiments.run import evaluate_run
from vsmooth.records.run import read_record


@dataclass(frozen=True, kw_only=True)
class Evaluate(RunImages):
    """Evaluate a finished run on its test split again: accuracy, NLL, Brier, calibration errors, confidence.

    Example: vsmooth evaluate runs/compare/vs-0.3-seed0-1a2b3c4d5e
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """a run folder"""

    def run(self, console: Console, typed: str) -> None:
        evaluate_run(self.folder, self.load_for(self.folder, console))
        say_metrics(read_record(self.folder), self.folder, console)
