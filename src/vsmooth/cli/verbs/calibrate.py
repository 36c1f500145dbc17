"""`vsmooth calibrate`: how well the confidence of finished runs, or of saved logits, fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from vsmooth.cli.display import say
from vsmooth.cli.finished_runs import FinishedRuns
from vsmooth.cli.output import Output, progress_bar, show_table
from vsmooth.data import Dataset
from vsmooth.evaluate import Predictions
from vsmooth.experiments.calibration import calibrate_run, evaluate_calibration
from vsmooth.experiments.export import export_calibrated
from vsmooth.experiments.run_paths import gather_runs
from vsmooth.experiments.shift import evaluate_shift
from vsmooth.records.calibration import CalibrationSettings
from vsmooth.records.comparison import Comparison
from vsmooth.records.json_files import write_json
from vsmooth.report.calibration.alpha_grid import alpha_table
from vsmooth.report.calibration.figures import ece_against_alpha, reliability_diagrams, temperature_bars
from vsmooth.report.calibration.tables import (
    CalibratedLabel,
    calibrated_labels,
    calibration_table,
    comparison_grids,
    reliability_panels,
    scaled_runs,
    scaling_table,
)
from vsmooth.report.drawing.style import Style
from vsmooth.report.render.table import Table
from vsmooth.report.shift.curves import shift_curves, shift_table
from vsmooth.report.shift.figures import shift_figure

_COLOURS = ("#4d4d4d", "#d55e00", "#0072b2", "#009e73", "#cc79a7")  # Okabe and Ito 2008
_WIDE = 4  # reliability diagrams side by side


@dataclass(frozen=True)
class Calibrate(FinishedRuns):
    """How well confidence fits accuracy: calibration errors with intervals, before and after scaling.

    Example: vsmooth calibrate runs/compare --out runs/compare/calibration

    For runs it reads the saved predictions, fits temperature and vector scaling on the validation split, and writes
    calibration.json in each run's folder, which the page of `vsmooth report` then shows. Runs with three or more
    values of alpha also give the ECE against alpha.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """run folders, the --out of a comparison, or npz files with `logits` (N, K) and `labels` (N,)"""
    validation: Path | None = None
    """an npz of validation logits, to fit the temperature of one file of logits"""
    bins: int = 15
    """number of bins of every binned error and of the diagrams; the record always has the ECE with 10 and 15 as well"""
    resamples: int = 1000
    """number of bootstrap resamples of the test images"""
    level: float = 0.95
    """confidence level of the intervals"""
    shift: bool = False
    """also evaluate corrupted test images, five severities each; needs the images and time"""
    corruptions: tuple[str, ...] = ()
    """with --shift: gaussian-noise, defocus-blur, fog, jpeg, ...; all unless given"""
    shift_images: int | None = None
    """with --shift: number of test images, evenly spaced; None: all"""
    store_temperature: bool = False
    """write model-calibrated.safetensors, which divides by the temperature, beside each run's weights"""

    def run(self, console: Console, typed: str) -> None:
        if not self.shift and (self.corruptions or self.shift_images is not None):
            raise ValueError("--corruptions and --shift-images need --shift: add it, or leave them out")
        calibration_settings(self)  # before images are loaded
        comparison = gather(self)
        if comparison is None:
            calibrate_logits(self, console)
        else:
            needed = self.shift or self.store_temperature
            calibrate_runs(self, comparison, self.load_images(comparison, console) if needed else None, console)


def calibrate_logits(command: Calibrate, console: Console) -> None:
    """Calibration of saved logits, one npz for each network."""
    if command.shift or command.store_temperature:
        raise ValueError("--shift and --store-temperature need a run: saved logits have neither images nor weights")
    validation = None if command.validation is None else Predictions.load(command.validation)
    if validation is not None and len(command.runs) > 1:
        raise ValueError("--validation belongs to one file of logits; calibrate one at a time")
    settings = calibration_settings(command)
    labels = []
    for index, (name, path) in enumerate(zip(_names(command.runs), command.runs, strict=True)):
        record = evaluate_calibration(Predictions.load(path), validation, settings=settings)
        labels.append(CalibratedLabel(name, Style(_COLOURS[index % len(_COLOURS)], "o", "-"), (record,)))
    output = Output(command.out)
    _write(labels, _show_calibration(labels, output, console), output)
    output.finish(console)


def calibrate_runs(command: Calibrate, comparison: Comparison, dataset: Dataset | None, console: Console) -> None:
    """Calibration of finished runs; `dataset` holds the images, where they are needed."""
    if command.validation is not None:
        raise ValueError("--validation is for saved logits; a run has its own validation predictions")
    settings = calibration_settings(command)
    with progress_bar(console, "calibration") as advance:
        for done, run in enumerate(comparison.runs):
            advance(done, len(comparison.runs))
            calibrate_run(Path(run.folder), settings)
    output = Output(command.out)
    labels = calibrated_labels(comparison)
    tables = _show_calibration(labels, output, console)
    tables |= _show_alphas(comparison, output, console)
    _write(labels, tables, output)  # before what takes long
    if dataset is not None and command.shift:
        tables |= _show_shift(command, comparison, dataset, output, console)
        _write(labels, tables, output)
    if dataset is not None and command.store_temperature:
        _store_temperatures(comparison, labels, dataset, console)
    output.finish(console)


def gather(command: Calibrate) -> Comparison | None:
    """The runs that were named; None where files of logits were.

    Raises:
        ValueError: nothing, or both kinds, were named.
    """
    if not command.runs:
        raise ValueError("name a run folder, the --out of a comparison or an npz of logits: vsmooth calibrate RUN")
    files = [path for path in command.runs if path.suffix == ".npz"]
    if files and len(files) < len(command.runs):
        raise ValueError(f"{files[0]} is a file of logits and others are folders; calibrate them separately")
    return None if files else gather_runs(command.runs)


def _names(files: Sequence[Path]) -> list[str]:
    """Stems, or whole paths where two stems are the same."""
    stems = [path.stem for path in files]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in files]


def calibration_settings(command: Calibrate) -> CalibrationSettings:
    """What is asked of every record; ``ValueError`` for values that cannot be."""
    return CalibrationSettings(command.bins, command.resamples, command.level)


def _show_calibration(labels: Sequence[CalibratedLabel], output: Output, console: Console) -> dict[str, Table]:
    tables = {
        "Calibration on the test split": calibration_table(labels),
        "Before and after scaling": scaling_table(labels),
    }
    for title, table in tables.items():
        show_table(title, table, console)
    panels = reliability_panels(labels)
    for first in range(0, len(panels), _WIDE):
        name = "reliability" if len(panels) <= _WIDE else f"reliability-{first // _WIDE + 1}"
        output.figure(name, partial(reliability_diagrams, panels[first : first + _WIDE]))
    runs = scaled_runs(labels)
    if len(runs) > 1:  # of one alone the table says as much
        output.figure("temperature", partial(temperature_bars, runs))
    return tables


def _show_alphas(comparison: Comparison, output: Output, console: Console) -> dict[str, Table]:
    grids = comparison_grids(comparison)
    if not grids:
        return {}
    title = "ECE against alpha"
    table = alpha_table(grids)
    show_table(title, table, console)
    output.figure("ece-against-alpha", partial(ece_against_alpha, grids))
    return {title: table}


def _show_shift(
    command: Calibrate, comparison: Comparison, dataset: Dataset, output: Output, console: Console
) -> dict[str, Table]:
    for run in comparison.runs:
        with progress_bar(console, f"{run.name}, seed {run.seed}: corruptions") as advance:
            evaluate_shift(
                Path(run.folder), dataset, corruptions=command.corruptions or None, images=command.shift_images,
                on_row=advance,
            )
    curves = shift_curves(comparison)
    title, table = "Under shift", shift_table(curves)
    show_table(title, table, console)
    output.figure("shift", partial(shift_figure, curves))
    return {title: table}


def _store_temperatures(
    comparison: Comparison, labels: tuple[CalibratedLabel, ...], dataset: Dataset, console: Console
) -> None:
    say(console, "")
    for group in comparison.groups:
        records = next(label.records for label in labels if label.name == group.name)
        for run, record in zip(group.runs, records, strict=True):
            fit = record.temperature
            if fit is None or not fit.converged:
                say(console, f"{run.name}, seed {run.seed}: there is no temperature to store", style="yellow")
                continue
            path = export_calibrated(Path(run.folder), dataset, fit.temperature)
            say(console, f"{run.name}, seed {run.seed}, divided by {fit.temperature:.4f}: {path}")


def _write(labels: Sequence[CalibratedLabel], tables: dict[str, Table], output: Output) -> None:
    if output.folder is not None:
        output.tables("calibration", tables)
        records = {label.name: label.records for label in labels}
        output.written.append(write_json(output.folder / "calibration.json", {"labels": records}).name)
