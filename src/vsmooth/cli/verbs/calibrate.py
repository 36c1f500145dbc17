"""`vsmooth calibrate`: how well the confidence of finished runs, or of saved logits, fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from vsmooth.cli.display import say
from vsmooth.cli.finished_runs import FinishedRuns
from vsmooth.cli.output import finish, progress_bar
from vsmooth.data import Dataset
from vsmooth.evaluate import Predictions
from vsmooth.experiments.calibration import calibrate_run, evaluate_calibration
from vsmooth.experiments.export import export_calibrated
from vsmooth.experiments.run_paths import gather_runs
from vsmooth.experiments.shift import evaluate_shift
from vsmooth.records.calibration import CalibrationSettings
from vsmooth.records.comparison import Comparison
from vsmooth.records.json_files import write_json
from vsmooth.report.calibration.sections import alpha_sections, label_sections, reliability_section
from vsmooth.report.calibration.tables import CalibratedLabel, calibrated_labels
from vsmooth.report.drawing.style import Style
from vsmooth.report.render.markdown import ReportFolder
from vsmooth.report.render.terminal import print_sections
from vsmooth.report.section import Section
from vsmooth.report.shift import sections as shift

_COLOURS = ("#4d4d4d", "#d55e00", "#0072b2", "#009e73", "#cc79a7")  # Okabe and Ito 2008


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
    """also evaluate corrupted test images at five severities; needs the images, and takes time"""
    corruptions: tuple[str, ...] = ()
    """with --shift: gaussian-noise, defocus-blur, fog, jpeg, ...; all if none is named"""
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
    folder = ReportFolder(command.out)
    found = (*label_sections(labels), reliability_section(labels))
    print_sections(found, console)
    _write(labels, found, folder)
    finish(folder, console)


def calibrate_runs(command: Calibrate, comparison: Comparison, dataset: Dataset | None, console: Console) -> None:
    """Calibration of finished runs; `dataset` holds the images, where they are needed."""
    if command.validation is not None:
        raise ValueError("--validation is for saved logits; a run has its own validation predictions")
    settings = calibration_settings(command)
    with progress_bar(console, "calibration") as advance:
        for done, run in enumerate(comparison.runs):
            advance(done, len(comparison.runs))
            calibrate_run(Path(run.folder), settings)
    folder, labels = ReportFolder(command.out), calibrated_labels(comparison)
    found = (*label_sections(labels), reliability_section(labels), *alpha_sections(comparison))
    print_sections(found, console)
    _write(labels, found, folder)  # before what takes long
    if dataset is not None and command.shift:
        shifted = _add_shift(command, comparison, dataset, console)
        print_sections(shifted, console)
        _write(labels, (*found, *shifted), folder)
    if dataset is not None and command.store_temperature:
        _store_temperatures(comparison, labels, dataset, console)
    finish(folder, console)


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


def _add_shift(command: Calibrate, comparison: Comparison, dataset: Dataset, console: Console) -> tuple[Section, ...]:
    for run in comparison.runs:
        with progress_bar(console, f"{run.name}, seed {run.seed}: corruptions") as advance:
            evaluate_shift(
                Path(run.folder), dataset, corruptions=command.corruptions or None, images=command.shift_images,
                on_row=advance,
            )
    return shift.sections(comparison)


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


def _write(labels: Sequence[CalibratedLabel], sections: Sequence[Section], folder: ReportFolder) -> None:
    if folder.folder is not None:
        folder.write("calibration", sections)
        records = {label.name: label.records for label in labels}
        folder.add(write_json(folder.folder / "calibration.json", {"labels": records}).name)
