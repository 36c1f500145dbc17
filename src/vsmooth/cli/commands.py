"""From the command line to an exit status; every foreseeable error is one line that says what to do."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro
from rich.console import Console

from vsmooth.cli.display import Display, say
from vsmooth.cli.options import Compare, Evaluate, Report, Setting, Train
from vsmooth.data import Dataset, load_dataset
from vsmooth.experiments.compare import ComparePlan, compare
from vsmooth.experiments.label_names import AutoAlpha, parse_label
from vsmooth.experiments.record import RunRecord, load_comparison, read_record
from vsmooth.experiments.run import evaluate_run, read_spec, run_experiment
from vsmooth.experiments.spec import RunSpec
from vsmooth.train import CheckpointError, Interrupted, TrainingDivergedError, best_precision

_EXPECTED = (ValueError, OSError, CheckpointError, TrainingDivergedError, ModuleNotFoundError)
_INSTALL = '; it comes with pip install "vsmooth[lab]"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, 2 for a mistake that the message explains, 128 + n after signal n."""
    typed = shlex.join(["vsmooth", *(sys.argv[1:] if arguments is None else arguments)])
    console = Console()
    try:
        _run(_parse(arguments), console, typed)
    except Interrupted as stop:
        say(console, str(stop), style="yellow")
        return 128 + stop.signal_number
    except KeyboardInterrupt:
        say(console, "stopped; run the same command again to resume from the last checkpoint", style="yellow")
        return 130
    except _EXPECTED as error:
        missing = isinstance(error, ModuleNotFoundError) and "pip install" not in str(error)
        print(f"vsmooth: {error}{_INSTALL if missing else ''}", file=sys.stderr)
        return 2
    return 0


def _parse(arguments: Sequence[str] | None) -> Train | Compare | Evaluate | Report:
    return tyro.extras.subcommand_cli_from_dict(
        {"train": Train, "compare": Compare, "evaluate": Evaluate, "report": Report},
        args=arguments,
        prog="vsmooth",
        description="Virtual smoothing labels against label smoothing and one-hot: train, compare, evaluate, report.",
        config=(tyro.conf.OmitArgPrefixes,),
    )


def _run(command: Train | Compare | Evaluate | Report, console: Console, typed: str) -> None:
    if isinstance(command, Train):
        _train(command, console)
    elif isinstance(command, Compare):
        _compare(command, console, typed)
    elif isinstance(command, Evaluate):
        _evaluate(command, console)
    else:
        _report(command.directory, console)


def _train(command: Train, console: Console) -> None:
    label = parse_label(command.label)
    if isinstance(label, AutoAlpha):
        raise ValueError("vsmooth train takes one alpha; vsmooth compare --labels vs:auto chooses one")
    spec = _spec(command.setting).with_label(label, command.seed)
    dataset = _load(command.setting.data, console)
    with Display(console) as display:
        display.on_run(0, 1, spec)
        record = run_experiment(spec, dataset, command.out, display)
    _print_metrics(record, command.out / record.folder, console)


def _compare(command: Compare, console: Console, typed: str) -> None:
    if command.seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {command.seeds}")
    labels = tuple(parse_label(text) for text in command.labels)
    plan = ComparePlan(_spec(command.setting), labels, tuple(range(command.seeds)))
    dataset = _load(command.setting.data, console)
    with Display(console) as display:
        compare(plan, dataset, command.out, typed, display)
    _report(command.out, console)


def _evaluate(command: Evaluate, console: Console) -> None:
    dataset = _load(command.data or read_spec(command.run).data, console)
    evaluate_run(command.run, dataset)
    _print_metrics(read_record(command.run), command.run, console)


def _report(directory: Path, console: Console) -> None:
    from vsmooth.report import print_table, write_page

    comparison = load_comparison(directory)
    print_table(comparison, console)
    page = directory / "report.html"
    write_page(comparison, page)
    say(console, f"Page with pictures: {page}")


def _spec(setting: Setting) -> RunSpec:
    return RunSpec(
        data=setting.data,
        model=setting.model,
        epochs=setting.epochs,
        batch_size=setting.batch_size,
        optimization=setting.optimization,
        augmentation=setting.augmentation,
        validation_fraction=setting.validation_fraction,
        train_limit=setting.train_limit,
        precision=best_precision() if setting.precision == "auto" else setting.precision,
        compile_model=setting.compile,
    )


def _load(source: str, console: Console) -> Dataset:
    dataset = load_dataset(source)
    channels, height, width = dataset.image_shape
    say(
        console,
        f"{dataset.name}: {len(dataset.train):,} train and {len(dataset.test):,} test images, "
        f"{channels}x{height}x{width}, {dataset.num_classes} classes",
    )
    return dataset


def _print_metrics(record: RunRecord, folder: Path, console: Console) -> None:
    say(console, f"{record.name}, seed {record.seed}: {folder}")
    for name, value in record.metrics.items():
        number = f"{value:,.0f}" if name == "samples" else f"{value:,.4f}"
        say(console, f"  {name.replace('_', ' '):16} {number}")
