"""Objectives x seeds of one experiment; a parameter given as `auto` is chosen on the validation split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from vsmooth.bounds import check_count, check_most
from vsmooth.data import Dataset
from vsmooth.experiments.initial import InitialRuns
from vsmooth.experiments.ownership import owned
from vsmooth.experiments.run import run_experiment
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.teaching.lesson import TeacherSource
from vsmooth.experiments.variants import objective_record
from vsmooth.losses import Candidates, Objective
from vsmooth.records.comparison import SUMMARY_FILE, Comparison, load_comparison, write_summary
from vsmooth.records.json_files import read_json
from vsmooth.records.provenance import shared_environment
from vsmooth.records.run import RECORD_FILE, Candidate, RunRecord, read_record, write_record
from vsmooth.train import CheckpointError, Execution, Listener, TrainingDivergedError
from vsmooth.train.processes import launched

MOST_SEEDS = 1000
_EACH_SEED = "each trains every network anew"


def first_seeds(count: int) -> tuple[int, ...]:
    """The seeds 0, 1, ...; ``ValueError`` for none and for more than a comparison takes."""
    check_count("seeds", count, 1, MOST_SEEDS, _EACH_SEED)
    return tuple(range(count))


def check_seeds(seeds: Sequence[int]) -> None:
    """``ValueError`` for more seeds than a comparison takes."""
    check_most("the number of seeds", len(seeds), MOST_SEEDS, _EACH_SEED)


class CompareListener(Listener):
    """Told which run begins, and everything a run tells."""

    def on_run(self, done: int, total: int, spec: RunSpec) -> None:
        """Run ``done + 1`` of ``total`` begins (or is read back)."""

    def on_left_out(self, names: tuple[str, ...]) -> None:
        """The summary is written without these rows of the one that was there, whose runs are kept."""


@dataclass(frozen=True)
class ComparePlan:
    """What to train: ``base`` with every objective and every seed. initial: the runs that trainings start from."""

    base: RunSpec
    objectives: tuple[Objective | Candidates, ...]
    seeds: tuple[int, ...]
    initial: InitialRuns | None = None

    def __post_init__(self) -> None:
        if not self.objectives or not self.seeds:
            raise ValueError("a comparison needs at least one label and one seed")
        check_seeds(self.seeds)
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("a label is named twice")

    def spec(self, objective: Objective, seed: int) -> RunSpec:
        """One of the runs; ``ValueError`` where there is no single one to start from."""
        found = self.base.with_objective(objective, seed)
        return found if self.initial is None else self.initial.given_to(found)

    @property
    def most_runs(self) -> int:
        """Number of trainings if every parameter that is chosen has to be trained for all other seeds."""
        more = (len(x.grid) - 1 if isinstance(x, Candidates) else 0 for x in self.objectives)
        return len(self.objectives) * len(self.seeds) + sum(more)


def compare(
    plan: ComparePlan,
    dataset: Dataset,
    directory: Path,
    command: str,
    listener: CompareListener | None = None,
    execution: Execution | None = None,
) -> Comparison:
    """Run what is not yet run, then write ``summary.json``; a comparison that stops early sums up what is finished.

    Seeds go round first, so an interrupted comparison has whole seeds to show. The parameter of :class:`Candidates` is
    the one of the grid with the lowest validation NLL at the first seed: a proper score, which asks for accuracy and
    calibration at once. The test split is evaluated at the end of a run and chooses nothing.

    Raises:
        ValueError: two labels that mean the same for this data; else as :func:`run_experiment`.
        TrainingDivergedError, CheckpointError: as :func:`run_experiment`, with the label and the seed.
    """
    check_distinct(plan, dataset.num_classes)
    runs = Runs(dataset, directory, command, plan.most_runs, listener or CompareListener(), execution)
    objectives = _Objectives(plan, runs)
    with runs.summed_up():
        for seed in plan.seeds:
            for objective in plan.objectives:
                runs.kept.append(objectives.run(objective, seed))
    return runs.comparison()


@dataclass
class Runs:
    """Runs one after the other, whatever it is that differs between them; ``kept`` are those that are compared.

    ``most``: how many there will be at most, for the listener.
    """

    dataset: Dataset
    directory: Path
    command: str
    most: int
    listener: CompareListener
    execution: Execution | None = None
    kept: list[RunRecord] = field(default_factory=list)
    done: int = 0

    def run(self, spec: RunSpec, name: str, teacher: TeacherSource | None = None) -> RunRecord:
        """The record of ``spec``, trained if it is not finished; errors of the training begin with ``name``."""
        self.listener.on_run(self.done, self.most, spec)
        try:
            record = run_experiment(spec, self.dataset, self.directory, self.listener, self.execution, teacher)
        except (TrainingDivergedError, CheckpointError) as error:
            kept = f"; what finished before ({self.done}) is kept" if self.done else ""
            raise type(error)(f"{name}, seed {spec.seed}: {error}{kept}") from error
        self.done += 1
        return replace(record, selected_from=None)  # a former comparison may have chosen it

    @contextmanager
    def summed_up(self) -> Iterator[None]:
        """Own the directory, and write the summary on leaving; after an error, if it has more than the one there."""
        with owned(self.directory):
            try:
                yield
            except BaseException:
                if len(self.kept) > _rows_of(self.directory):
                    with suppress(OSError, ValueError):
                        self._sum_up()
                raise
            self._sum_up()

    def comparison(self) -> Comparison:
        """What is kept so far."""
        runs = self._unique()
        return Comparison(runs, self.command, shared_environment(runs), self.dataset.classes, self.directory)

    def _sum_up(self) -> None:
        comparison = self.comparison()
        if launched().is_main_process:
            for run in comparison.runs:
                if read_record(self.directory / run.folder) != run:
                    write_record(run, self.directory / run.folder)  # reports read from there how alpha was chosen
            gone = _rows_gone(self.directory, comparison)
            write_summary(comparison, self.directory)
            if gone:
                self.listener.on_left_out(gone)

    def _unique(self) -> tuple[RunRecord, ...]:
        """One run for each variant and seed: a parameter that was chosen may also have been asked for by name."""
        found: dict[tuple[str, int], RunRecord] = {}
        for run in self.kept:
            key = (run.variant.key, run.seed)
            if key not in found or run.selected_from is not None:
                found[key] = run
        return tuple(found.values())


@dataclass
class _Objectives:
    plan: ComparePlan
    runs: Runs
    chosen: dict[Candidates, tuple[Objective, RunRecord]] = field(default_factory=dict)

    def run(self, objective: Objective | Candidates, seed: int) -> RunRecord:
        """The record of ``objective``, with the candidates where its parameter was chosen."""
        if not isinstance(objective, Candidates):
            return self._run(objective, seed)
        if objective not in self.chosen:
            self.chosen[objective] = self._choose(objective, seed)
            return self.chosen[objective][1]
        best, first = self.chosen[objective]
        return replace(self._run(best, seed), selected_from=first.selected_from)

    def _run(self, objective: Objective, seed: int) -> RunRecord:
        return self.runs.run(self.plan.spec(objective, seed), objective.text)

    def _choose(self, candidates: Candidates, seed: int) -> tuple[Objective, RunRecord]:
        objectives = candidates.objectives()
        runs = [self._run(objective, seed) for objective in objectives]
        tried = tuple(_candidate(run, value) for run, value in zip(runs, candidates.grid, strict=True))
        best = min(range(len(runs)), key=lambda place: tried[place].nll)
        return objectives[best], replace(runs[best], selected_from=tried)


def _candidate(run: RunRecord, parameter: float) -> Candidate:
    """Of the last epoch's validation scores; ``ValueError`` for a record that lacks them."""
    scores = run.history[-1].validation if run.history else {}
    nll, accuracy = (scores.get(name, math.nan) for name in ("nll", "accuracy"))
    if math.isnan(nll) or math.isnan(accuracy):
        raise ValueError(
            f"{run.folder}/{RECORD_FILE} has no validation NLL and accuracy of the last epoch, by which a parameter is "
            "chosen: delete the folder and train again"
        )
    return Candidate(run.name, parameter, nll, accuracy)


def check_distinct(plan: ComparePlan, num_classes: int) -> None:
    """Raise ``ValueError`` if two objectives of ``plan`` mean the same for ``num_classes`` classes."""
    seen: dict[tuple[str, bool], Objective | Candidates] = {}
    for objective in plan.objectives:
        template = objective.template if isinstance(objective, Candidates) else objective
        name = objective_record(template, num_classes).name
        twin = seen.setdefault((name, template is objective), objective)
        if twin is not objective:
            both = f"{twin.text} and {objective.text}"
            raise ValueError(f"two of the labels are the same for {num_classes} classes: {both}")


def _rows_gone(directory: Path, comparison: Comparison) -> tuple[str, ...]:
    """What the summary in ``directory`` has and ``comparison`` has not: "VS 0.3 (seeds 0, 1)"."""
    try:
        groups = load_comparison(directory).groups
    except ValueError:
        return ()
    kept = {run.folder for run in comparison.runs}
    gone = {group.name: [str(run.seed) for run in group.runs if run.folder not in kept] for group in groups}
    return tuple(f"{name} (seed{'s'[: len(seeds) > 1]} {', '.join(seeds)})" for name, seeds in gone.items() if seeds)


def _rows_of(directory: Path) -> int:
    try:
        return len(read_json(directory / SUMMARY_FILE)["rows"])
    except (ValueError, KeyError, TypeError):
        return 0
