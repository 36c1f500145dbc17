"""`vsmooth compare`: every label with every seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Self

import tyro
from rich.console import Console

from vsmooth.cli.display import Display
from vsmooth.cli.dry_run import dry_compare
from vsmooth.cli.images import say_replaced
from vsmooth.cli.method_options import MethodOptions, options_of
from vsmooth.cli.training_options import TrainingOptions, setting_of, spec_of
from vsmooth.cli.verbs.report import show_report
from vsmooth.experiments.compare import ComparePlan, compare, first_seeds
from vsmooth.losses import FORMS, parse_candidates
from vsmooth.recipes import Recipe

_LABELS = f"{FORMS}; with auto for the first value (vs:auto) it is chosen on the validation split; see vsmooth labels"


@dataclass(frozen=True)
class Compare(TrainingOptions):
    """Train every label with every seed; write a table, summary.json and report.html.

    Example: vsmooth compare --labels one-hot ls:0.1 vs:0.1 vs:0.3 --seeds 3 --data cifar10 --model resnet20

    With --recipe NAME the options default to a setting of the paper; `vsmooth compare --recipe NAME --help` shows it.
    Ctrl-C saves; the same command resumes. Finished runs are not trained again, so labels and seeds can be added:
    the table and the page show the labels of the last command.
    """

    labels: Annotated[tuple[str, ...], tyro.conf.arg(help=_LABELS)] = ("one-hot", "ls:0.1", "vs:0.3")
    seeds: int = 1
    """number of seeds per label (0, 1, ...); three or more give confidence intervals over seeds"""
    training: Annotated[MethodOptions, tyro.conf.arg(name="")] = field(default_factory=MethodOptions)
    out: Path = Path("runs/compare")
    """folder for the runs, the summary and the page"""

    @classmethod
    def of_recipe(cls, recipe: Recipe) -> Self:
        spec = recipe.spec
        training, setting = options_of(spec.method), setting_of(spec)
        return cls(labels=recipe.label_texts, recipe=recipe.name, training=training, setting=setting)

    def plan(self) -> ComparePlan:
        """The runs; ``ValueError`` for values that cannot be."""
        seeds = first_seeds(self.seeds)
        objectives = tuple(parse_candidates(text) for text in self.labels)
        base = replace(spec_of(self.setting), method=self.training.settings())
        return ComparePlan(base, objectives, seeds, self.training.initial)

    def run(self, console: Console, typed: str) -> None:
        plan = self.plan()
        dataset = self.load(console)
        if self.dry_run:
            dry_compare(plan, dataset, self.execution, console)
            return
        with Display(console) as display:
            compare(plan, dataset, self.out, typed, display, execution=self.execution)
        say_replaced(dataset, console)
        if not console.quiet:  # of several processes one writes the page
            show_report(self.out, console)
