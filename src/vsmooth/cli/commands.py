"""From the command line to an exit status; every foreseeable error is one line that says what to do."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vsmooth.cli.analysis_options import Attack, Calibrate, Inspect
from vsmooth.cli.display import Display, say
from vsmooth.cli.dry_run import dry_compare, dry_distill, dry_train
from vsmooth.cli.lesson import lesson_of, student_of
from vsmooth.cli.options import Command, Compare, Distill, Evaluate, Report, Train
from vsmooth.cli.parsing import parse, spec_of
from vsmooth.cli.recipe_table import print_recipe, print_recipes
from vsmooth.cli.terminal import printable, say_error
from vsmooth.data import Dataset, known_set, load_dataset
from vsmooth.experiments.compare import ComparePlan, compare, first_seeds
from vsmooth.experiments.run import evaluate_run, read_spec, run_experiment
from vsmooth.experiments.run_paths import gather_runs
from vsmooth.experiments.teaching.distill import DistillPlan, distill
from vsmooth.experiments.teaching.sources import open_teachers
from vsmooth.losses import parse_candidates, parse_objective
from vsmooth.recipes import get_recipe
from vsmooth.records.comparison import Comparison, load_comparison
from vsmooth.records.run import RunRecord, read_record
from vsmooth.train import CheckpointError, Interrupted, TrainingDivergedError, disconnect, terminable

_EXPECTED = (ValueError, OSError, CheckpointError, TrainingDivergedError, ModuleNotFoundError)
_NAMED = 5  # of unreadable images
_INSTALL = '; it comes with pip install "vsmooth[lab]"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, 2 for a mistake that the message explains, 128 + n after signal n."""
    with printable():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    typed = shlex.join(["vsmooth", *(sys.argv[1:] if arguments is None else arguments)])
    console = Console(quiet=_rank("RANK") > 0)  # of several processes only one speaks
    command: Command | None = None
    terminated: list[int] = []
    try:
        with terminable() as terminated:
            _check_ranks()
            command = parse(arguments, quiet=console.quiet)
            _run(command, console, typed)
    except Interrupted as stop:
        say(console, str(stop), style="yellow")
        return 128 + stop.signal_number
    except KeyboardInterrupt as stop:
        trains = isinstance(command, Train | Compare | Distill) and not command.dry_run
        resume = "; run the same command again to resume from the last checkpoint" if trains else ""
        say(console, str(stop) or f"stopped{resume}", style="yellow")
        return 128 + (terminated[0] if terminated else signal.SIGINT)
    except _EXPECTED as error:
        missing = isinstance(error, ModuleNotFoundError) and "pip install" not in str(error)
        if _rank("LOCAL_RANK") == 0:  # one of each machine: a mistake may be one machine's alone
            say_error(f"{error}{_INSTALL if missing else ''}")
        return 2
    finally:
        disconnect()
    return 0


def _rank(variable: str) -> int:
    """What ``torchrun`` and ``accelerate launch`` tell each process; 0 for a process of its own, and for no number."""
    text = os.environ.get(variable, "0")
    return int(text) if text.isdecimal() else 0


def _check_ranks() -> None:
    for variable in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"):
        if not os.environ.get(variable, "0").isdecimal():
            raise ValueError(
                f"the environment has {variable}={os.environ[variable]!r}, where torchrun and accelerate launch set a "
                "whole number: start with one of them, or unset it"
            )


def _run(command: Command, console: Console, typed: str) -> None:
    if isinstance(command, Train):
        _train(command, console)
    elif isinstance(command, Compare):
        _compare(command, console, typed)
    elif isinstance(command, Distill):
        _distill(command, console, typed)
    elif isinstance(command, Evaluate):
        _evaluate(command, console)
    elif isinstance(command, Report):
        _report(command.directory, console)
    elif isinstance(command, Calibrate):
        _calibrate(command, console)
    elif isinstance(command, Inspect):
        _inspect(command, console)
    elif isinstance(command, Attack):
        _attack(command, console)
    elif command.name is None:
        print_recipes(console)
    else:
        print_recipe(command.name, console)


def _train(command: Train, console: Console) -> None:
    spec = spec_of(command.setting).with_objective(parse_objective(command.label), command.seed)
    dataset = _load_for(command, console)
    if command.dry_run:
        dry_train(spec, dataset, command.execution, console)
        return
    with Display(console) as display:
        display.on_run(0, 1, spec)
        record = run_experiment(spec, dataset, command.out, display, command.execution)
    _say_replaced(dataset, console)
    _print_metrics(record, command.out / record.folder, console)


def _compare(command: Compare, console: Console, typed: str) -> None:
    seeds = first_seeds(command.seeds)
    objectives = tuple(parse_candidates(text) for text in command.labels)
    plan = ComparePlan(spec_of(command.setting), objectives, seeds)
    dataset = _load_for(command, console)
    if command.dry_run:
        dry_compare(plan, dataset, command.execution, console)
        return
    with Display(console) as display:
        compare(plan, dataset, command.out, typed, display, execution=command.execution)
    _say_replaced(dataset, console)
    if not console.quiet:
        _report(command.out, console)


def _distill(command: Distill, console: Console, typed: str) -> None:
    seeds = first_seeds(command.seeds)
    base, how = student_of(command), lesson_of(command)
    dataset = _load_for(command, console)
    plan = DistillPlan(base, open_teachers(command.teacher, dataset), seeds, how)
    if command.dry_run:
        dry_distill(plan, dataset, command.execution, console)
        return
    names = {source.record.fingerprint: source.record.name for source in plan.teachers}
    with Display(console, names) as display:
        distill(plan, dataset, command.out, typed, display, execution=command.execution)
    _say_replaced(dataset, console)
    if not console.quiet:
        _report(command.out, console)


def _evaluate(command: Evaluate, console: Console) -> None:
    spec = read_spec(command.run)
    dataset = _load(command.data or spec.data, spec.image_size, command.skip_broken, console)
    evaluate_run(command.run, dataset)
    _print_metrics(read_record(command.run), command.run, console)


def _report(directory: Path, console: Console) -> None:
    from vsmooth.report import print_table, write_page

    comparison = load_comparison(directory)
    page = directory / "report.html"
    write_page(comparison, page)
    print_table(comparison, console)
    say(console, f"Page with pictures: {page}")


def _calibrate(command: Calibrate, console: Console) -> None:
    from vsmooth.cli.verbs.calibrate import calibrate_logits, calibrate_runs, calibration_settings, gather

    if not command.shift and (command.corruptions or command.shift_images is not None):
        raise ValueError("--corruptions and --shift-images are of --shift: add it, or leave them out")
    calibration_settings(command)  # mistakes in it are told before images are loaded
    comparison = gather(command)
    if comparison is None:
        calibrate_logits(command, console)
    else:
        needed = command.shift or command.store_temperature
        calibrate_runs(command, comparison, _load_of(command, comparison, console) if needed else None, console)


def _inspect(command: Inspect, console: Console) -> None:
    from vsmooth.cli.verbs.inspect import inspect, inspect_options

    if not command.runs:
        raise ValueError("name a run folder or the --out of a comparison: vsmooth inspect RUN")
    comparison, options = gather_runs(command.runs), inspect_options(command)
    inspect(command, options, comparison, _load_of(command, comparison, console), console)


def _attack(command: Attack, console: Console) -> None:
    from vsmooth.cli.verbs.attack import attack, attack_options, check_verify, verify

    if not command.runs:
        raise ValueError("name a run folder or the --out of a comparison: vsmooth attack RUN")
    comparison = gather_runs(command.runs)
    if command.verify is not None:
        check_verify(command, comparison)
        verify(command.verify, comparison, _load_of(command, comparison, console), console)
        return
    options = attack_options(command)  # mistakes in it are told before images are loaded
    attack(command, options, comparison, _load_of(command, comparison, console), console)


def _load_of(command: Calibrate | Inspect | Attack, comparison: Comparison, console: Console) -> Dataset:
    """The images of finished runs."""
    spec = read_spec(Path(comparison.runs[0].folder))
    return _load(command.data or spec.data, spec.image_size, command.skip_broken, console)


def _load_for(command: Train | Compare | Distill, console: Console) -> Dataset:
    """The images of a training, which must be those that its recipe is for."""
    setting = command.setting
    dataset = _load(setting.data, setting.image_size, setting.skip_broken, console)
    if command.recipe is not None:
        recipe = get_recipe(command.recipe)
        recipe.check_fits(dataset, setting.image_size)
        _warn(recipe.doubt(dataset), console)
    return dataset


def _load(source: str, image_size: int | None, skip_broken: bool, console: Console) -> Dataset:
    dataset = load_dataset(source, image_size=image_size, skip_broken=skip_broken)
    channels, height, width = dataset.image_shape
    say(
        console,
        f"{dataset.name}: {len(dataset.train):,} train and {len(dataset.test):,} test images, "
        f"{channels}x{height}x{width}, {dataset.num_classes} classes",
    )
    _say_unreadable("left out as unreadable", dataset.left_out, console)
    _warn(dataset.overlap_note, console)
    if (known := known_set(dataset.name)) is not None:
        _warn(known.counts_note(len(dataset.train), len(dataset.test), len(dataset.left_out)), console)
    return dataset


def _warn(note: str | None, console: Console) -> None:
    if note is not None:
        say(console, note, style="yellow")


def _say_replaced(dataset: Dataset, console: Console) -> None:
    from accelerate.utils import gather_object

    met = gather_object(list(dataset.skipped[len(dataset.left_out) :]))  # every process has met others
    replaced = list(dict.fromkeys(met))
    _say_unreadable("unreadable, replaced by the next image", replaced, console)


def _say_unreadable(what: str, names: Sequence[str], console: Console) -> None:
    if names:
        more = " ..." if len(names) > _NAMED else ""
        say(console, f"{what}: {len(names)} ({', '.join(names[:_NAMED])}{more})", style="yellow")


def _print_metrics(record: RunRecord, folder: Path, console: Console) -> None:
    say(console, f"{record.name}, seed {record.seed}: {folder}")
    for name, value in record.metrics.items():
        number = f"{value:,.0f}" if name == "samples" else f"{value:,.4f}"
        say(console, f"  {name.replace('_', ' '):16} {number}")
