"""Labels x seeds of one experiment, with alpha chosen on the validation split where it is to be."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from vsmooth.data import Dataset
from vsmooth.experiments.environment import describe_environment
from vsmooth.experiments.json_files import read_json
from vsmooth.experiments.label_names import AutoAlpha, label_text
from vsmooth.experiments.record import (
    SUMMARY_FILE,
    Comparison,
    RunRecord,
    read_record,
    write_record,
    write_summary,
)
from vsmooth.experiments.run import run_experiment
from vsmooth.experiments.spec import RunSpec
from vsmooth.labels import LabelScheme
from vsmooth.train import CheckpointError, Listener, TrainingDivergedError


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
    """Run what is not yet run, then write ``summary.json``; a comparison that stops early sums up what is finished.

    Seeds go round first, so an interrupted comparison has whole seeds to show. Alpha of an :class:`AutoAlpha` is the
    one of its grid with the lowest validation NLL at the first seed: a proper score, which asks for accuracy and
    calibration at once. The test split is evaluated at the end of a run and chooses nothing.

    Raises:
        ValueError: two labels that mean the same for this data; else as :func:`run_experiment`.
        TrainingDivergedError, CheckpointError: as :func:`run_experiment`, with the label and the seed.
    """
    _check_distinct(plan.labels, dataset.num_classes)
    runner = _Runner(plan, dataset, directory, listener or CompareListener())

    def sum_up() -> Comparison:
        environment = describe_environment(plan.base.precision, _device())
        comparison = Comparison(runner.unique_runs(), command, environment, dataset.classes, directory)
        for run in comparison.runs:
            if read_record(directory / run.folder) != run:
                write_record(run, directory / run.folder)  # reports read from there how alpha was chosen
        write_summary(comparison, directory)
        return comparison

    try:
        for seed in plan.seeds:
            for label in plan.labels:
                runner.add(label, seed)
    except BaseException:
        if len(runner.runs) > _rows_of(directory):
            with suppress(OSError, ValueError):
                sum_up()
        raise
    return sum_up()


@dataclass
class _Runner:
    plan: ComparePlan
    dataset: Dataset
    directory: Path
    listener: CompareListener
    runs: list[RunRecord] = field(default_factory=list)
    chosen: dict[AutoAlpha, RunRecord] = field(default_factory=dict)
    done: int = 0

    def add(self, label: LabelScheme | AutoAlpha, seed: int) -> None:
        """Run ``label`` and keep the record, with the candidates where alpha was chosen."""
        if not isinstance(label, AutoAlpha):
            record = self.run(label, seed)
        elif label not in self.chosen:
            record = self.chosen[label] = self.choose(label, seed)
        else:
            best = self.chosen[label]
            record = replace(self.run(replace(label.scheme, alpha=best.alpha), seed), selected_from=best.selected_from)
        self.runs.append(record)

    def unique_runs(self) -> tuple[RunRecord, ...]:
        """One run for each network and seed: an alpha that was chosen may also have been asked for by name."""
        found: dict[tuple[str, float, int, int], RunRecord] = {}
        for run in self.runs:
            key = (run.label, run.alpha, run.num_virtual, run.seed)
            if key not in found or run.selected_from is not None:
                found[key] = run
        return tuple(found.values())

    def run(self, label: LabelScheme, seed: int) -> RunRecord:
        spec = self.plan.base.with_label(label, seed)
        self.listener.on_run(self.done, self.plan.most_runs, spec)
        try:
            record = run_experiment(spec, self.dataset, self.directory, self.listener)
        except (TrainingDivergedError, CheckpointError) as error:
            kept = f"; what finished before ({self.done}) is kept" if self.done else ""
            raise type(error)(f"{label_text(label)}, seed {seed}: {error}{kept}") from error
        self.done += 1
        return replace(record, selected_from=None)  # a former comparison may have chosen it

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


def _check_distinct(labels: tuple[LabelScheme | AutoAlpha, ...], num_classes: int) -> None:
    seen: dict[tuple[str, float | None, int], LabelScheme | AutoAlpha] = {}
    for label in labels:
        scheme, alpha = (label.scheme, None) if isinstance(label, AutoAlpha) else (label, label.alpha)
        twin = seen.setdefault((scheme.name, alpha, scheme.width(num_classes)), label)
        if twin is not label:
            both = f"{_text(twin)} and {_text(label)}"
            raise ValueError(f"two of the labels are the same for {num_classes} classes: {both}")


def _text(label: LabelScheme | AutoAlpha) -> str:
    return f"{label.scheme.short_name.lower()}:auto" if isinstance(label, AutoAlpha) else label_text(label)


def _rows_of(directory: Path) -> int:
    try:
        return len(read_json(directory / SUMMARY_FILE)["rows"])
    except (ValueError, KeyError, TypeError):
        return 0
