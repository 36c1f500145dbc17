"""Labels x seeds of one experiment, with alpha chosen on the validation split where it is to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vsmooth.data import Dataset
from vsmooth.experiments.environment import describe_environment
from vsmooth.experiments.label_names import AutoAlpha
from vsmooth.experiments.record import Comparison, RunRecord, write_summary
from vsmooth.experiments.run import run_experiment
from vsmooth.experiments.spec import RunSpec
from vsmooth.labels import LabelScheme
from vsmooth.train import Listener


class CompareListener(Listener):
    """Told which run begins, and everything a run tells."""

    def on_run(self, done: int, total: int, spec: RunSpec) -> None:
        """Run ``done + 1`` of ``total`` begins (or is read back)."""


@dataclass(frozen=True)
class ComparePlan:
    """What to train: ``base`` with every label and every seed."""

    base: RunSpec
    labels: tuple[LabelScheme | AutoAlpha, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.labels or not self.seeds:
            raise ValueError("a comparison needs at least one label and one seed")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label is named twice")

    @property
    def most_runs(self) -> int:
        """Number of trainings if every chosen alpha has to be trained for all other seeds."""
        per_label = (len(x.grid) - 1 if isinstance(x, AutoAlpha) else 0 for x in self.labels)
        return len(self.labels) * len(self.seeds) + sum(per_label)


def compare(
    plan: ComparePlan, dataset: Dataset, directory: Path, command: str, listener: CompareListener | None = None
) -> Comparison:
    """Run what is not yet run, then write ``summary.json``.

    Seeds go round first, so an interrupted comparison has whole seeds to show. Alpha of an :class:`AutoAlpha` is the
    one of its grid with the lowest validation NLL at the first seed: a proper score, which asks for accuracy and
    calibration at once. The test split is evaluated at the end of a run and chooses nothing.
    """
    listener = listener or CompareListener()
    runner = _Runner(plan, dataset, directory, listener)
    runs: list[RunRecord] = []
    chosen: dict[AutoAlpha, RunRecord] = {}
    for seed in plan.seeds:
        for label in plan.labels:
            if not isinstance(label, AutoAlpha):
                runs.append(runner.run(label, seed))
            elif label not in chosen:
                chosen[label] = runner.choose(label, seed)
                runs.append(chosen[label])
            else:
                again = runner.run(replace(label.scheme, alpha=chosen[label].alpha), seed)
                runs.append(replace(again, selected_from=chosen[label].selected_from))
    # An alpha that was chosen may also have been asked for by name.
    unique = tuple({run.folder: run for run in runs}.values())
    environment = describe_environment(plan.base.precision, _device())
    comparison = Comparison(unique, command, environment, dataset.classes, directory)
    write_summary(comparison, directory)
    return comparison


@dataclass
class _Runner:
    plan: ComparePlan
    dataset: Dataset
    directory: Path
    listener: CompareListener
    done: int = 0

    def run(self, label: LabelScheme, seed: int) -> RunRecord:
        spec = self.plan.base.with_label(label, seed)
        self.listener.on_run(self.done, self.plan.most_runs, spec)
        record = run_experiment(spec, self.dataset, self.directory, self.listener)
        self.done += 1
        return record

    def choose(self, label: AutoAlpha, seed: int) -> RunRecord:
        candidates = [self.run(scheme, seed) for scheme in label.candidates()]
        tried = tuple(
            {
                "alpha": run.alpha,
                "validation_nll": run.history[-1].validation_nll,
                "validation_accuracy": run.history[-1].validation_accuracy,
            }
            for run in candidates
        )
        best = min(candidates, key=lambda run: run.history[-1].validation_nll)
        return replace(best, selected_from=tried)


def _device() -> torch.device:
    from accelerate import PartialState

    return torch.device(PartialState().device)
