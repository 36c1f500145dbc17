"""`vsmooth train`: one network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Self

import tyro
from rich.console import Console

from vsmooth.cli.display import Display, say_metrics
from vsmooth.cli.dry_run import dry_train
from vsmooth.cli.images import say_replaced
from vsmooth.cli.method_options import MethodOptions, options_of
from vsmooth.cli.training_options import TrainingOptions, setting_of, spec_of
from vsmooth.experiments.run import run_experiment
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.losses import FORMS, parse_objective
from vsmooth.recipes import Recipe


@dataclass(frozen=True)
class Train(TrainingOptions):
    """Train one network and evaluate it on the test split.

    Example: vsmooth train --label vs:0.3 --data embedded --model small --epochs 20

    With --recipe NAME the options default to a setting of the paper; `vsmooth train --recipe NAME --help` shows it.
    Ctrl-C saves; the same command resumes. Several GPUs: torchrun --nproc-per-node 4 -m vsmooth train ...
    """

    label: Annotated[str, tyro.conf.arg(help=f"{FORMS}; see vsmooth labels")] = "vs:0.3"
    seed: int = 0
    """seed of the initial weights and of the order and augmentation of the images"""
    training: Annotated[MethodOptions, tyro.conf.arg(name="")] = field(default_factory=MethodOptions)
    out: Path = Path("runs/train")
    """folder in which the run gets a folder of its own"""

    @classmethod
    def of_recipe(cls, recipe: Recipe) -> Self:
        spec = recipe.spec
        training, setting = options_of(spec.method), setting_of(spec)
        return cls(label=spec.objective.text, recipe=recipe.name, training=training, setting=setting)

    def spec(self) -> RunSpec:
        """The run; ``ValueError`` for values that cannot be."""
        spec = replace(spec_of(self.setting), method=self.training.settings())
        spec = spec.with_objective(parse_objective(self.label), self.seed)
        initial = self.training.initial
        return spec if initial is None else initial.given_to(spec)

    def run(self, console: Console, typed: str) -> None:
        spec = self.spec()
        dataset = self.load(console)
        if self.dry_run:
            dry_train(spec, dataset, self.execution, console)
            return
        with Display(console) as display:
            display.on_run(0, 1, spec)
            record = run_experiment(spec, dataset, self.out, display, self.execution)
        say_replaced(dataset, console)
        say_metrics(record, self.out / record.folder, console)
