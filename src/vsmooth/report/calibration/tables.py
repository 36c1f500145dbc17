"""Calibration records as tables: one row for each label, as trained and after scaling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from vsmooth.metrics import BootstrapInterval, ReliabilityBins
from vsmooth.records.calibration import (
    FEW,
    FEW_OF_A_CLASS,
    NORMALISED,
    TEMPERATURE,
    TRAINED,
    VECTOR,
    CalibrationRecord,
    CalibrationSettings,
    read_calibration,
)
from vsmooth.records.comparison import Comparison
from vsmooth.records.variant import Variant
from vsmooth.report.calibration.alpha_grid import SHORT_NAMES, AlphaGrid, alpha_grids
from vsmooth.report.calibration.figures import ReliabilityPanel, ScaledRun
from vsmooth.report.comparison.metrics import ACCURACY, ECE, MISSING, NLL
from vsmooth.report.comparison.reliability import Bins
from vsmooth.report.drawing.style import Style, styles
from vsmooth.report.render.table import Cell, Column, Table, shortened

GRID_ALPHAS = 3  # fewer are no grid
TITLE = 26  # characters of a name that a panel has room for


@dataclass(frozen=True, eq=False)
class CalibratedLabel:
    """One label, or one file of logits: the calibration records of its seeds, and how it is drawn."""

    name: str
    style: Style
    records: tuple[CalibrationRecord, ...]

    @property
    def settings(self) -> CalibrationSettings:
        return self.records[0].settings

    def values(self, metric: str, of: str = TRAINED) -> list[float]:
        """The finite values of a metric, one for each seed that has it."""
        return [value for record in self.records if math.isfinite(value := record.value(metric, of))]

    def interval(self, metric: str, of: str = TRAINED) -> BootstrapInterval | None:
        """That of the only record; None for several seeds, and where it has no such metric."""
        name = self.settings.ece if metric == "ece" else metric
        if len(self.records) > 1 or of not in self.records[0].scores:
            return None
        return self.records[0].scores[of].metrics.get(name)


def calibrated_labels(comparison: Comparison) -> tuple[CalibratedLabel, ...]:
    """The labels of a comparison whose runs have calibration records of one number of bins; empty if none has."""
    found = []
    for group, style in zip(comparison.groups, styles(comparison.groups), strict=True):
        read = (read_calibration(Path(comparison.directory, run.folder)) for run in group.runs)
        records = tuple(record for record in read if record is not None)
        if records:
            found.append(CalibratedLabel(group.name, style, records))
    bins = found[0].settings.bins if found else None
    return tuple(label for label in found if all(record.settings.bins == bins for record in label.records))


def calibration_table(labels: Sequence[CalibratedLabel]) -> Table:
    """Calibration errors and proper scores as trained; the mean over the seeds, or a value with its interval below."""
    settings = labels[0].settings
    columns = (
        Column("Label"),
        Column(f"ECE\n({settings.bins} bins)"),
        Column("too sure"),
        Column("too unsure"),
        Column("Debiased\nECE", False),
        Column("Adaptive\nECE", False),
        Column("Class-wise\nECE", False),
        Column("NLL"),
        Column("Brier"),
        Column("its\nmiscalibration", False),
        Column("its\nresolution", False),
    )
    keys = (
        "ece", "ece_over", "ece_under", "debiased_ece", "adaptive_ece", "classwise_ece", "nll", "brier", "reliability",
        "resolution",
    )
    rows = tuple((Cell(label.name), *(_cell(label, key) for key in keys)) for label in labels)
    return Table(columns, rows, _calibration_notes(labels))


def _calibration_notes(labels: Sequence[CalibratedLabel]) -> tuple[str, ...]:
    notes = [
        "Less is better, but for the resolution. The ECE is the sum of its two parts: bins whose confidence is above "
        "their accuracy (too sure) and below it (too unsure). The debiased ECE is an L2 error without the noise of the "
        "bins; the class-wise ECE shrinks with the number of classes."
    ]
    if any(len(label.records) == 1 for label in labels):
        level = labels[0].settings.level
        notes.append(
            f"Second line: {100 * level:g} % interval over the test images, for this one network. The noise that "
            "binning adds to an error is taken out of its interval, which may therefore lie below the value. Numbers "
            "without one have none that would hold the truth often enough near calibration."
        )
    if any(len(label.records) > 1 for label in labels):
        notes.append("±: standard deviation over the seeds.")
    return tuple(notes)


def scaling_table(labels: Sequence[CalibratedLabel]) -> Table:
    """Test ECE and NLL before and after temperature and vector scaling, and of normalised label smoothing."""
    normalised = any(label.values("ece", NORMALISED) for label in labels)
    variants = [(TRAINED, "as trained"), (TEMPERATURE, "temperature"), (VECTOR, "vector")]
    variants += [(NORMALISED, "normalised")] if normalised else []
    columns = [Column("Label"), Column("T")]
    columns += [Column(f"ECE\n{words}") for _, words in variants]
    # Without its floor a right class that came last has probability 0, and the NLL is infinite.
    scored = [(of, words) for of, words in variants if of != NORMALISED]
    columns += [Column(f"NLL\n{words}", False) for _, words in scored]
    columns += [Column("Accuracy %\nvector", False)]
    rows = tuple(
        (
            Cell(label.name),
            Cell(temperature_text(label)),
            *(_cell(label, "ece", of) for of, _ in variants),
            *(_cell(label, "nll", of) for of, _ in scored),
            _cell(label, "accuracy", VECTOR),
        )
        for label in labels
    )
    notes = [
        "Temperature T and vector scaling were fitted on the validation split, never on test. T below 1 makes a "
        "network surer, above 1 less sure; it leaves the accuracy as it is, a vector may change it."
    ]
    if any(record.temperature is None for label in labels for record in label.records):
        notes.append(f"{MISSING}: no validation logits, or one class is missing among them.")
    notes += _few_samples_note(labels)
    if any(record.temperature and not record.temperature.converged for label in labels for record in label.records):
        notes.append("none: the validation NLL has no minimum at a finite temperature.")
    if normalised:
        notes.append("Normalised: label smoothing without the floor it puts under every class (the paper's Sec. B).")
    return Table(tuple(columns), rows, tuple(notes))


def _few_samples_note(labels: Sequence[CalibratedLabel]) -> list[str]:
    small = [label for label in labels if any(record.has_few_samples for record in label.records)]
    if not small:
        return []
    sizes = [
        (record.validation_samples or 0, record.fewest_of_a_class or 0)
        for label in small for record in label.records if record.has_few_samples
    ]
    samples, fewest = min(sizes)
    whose = "" if len(small) == len(labels) else f" of {', '.join(label.name for label in small)}"
    return [
        f"Caution: the validation split{whose} has {samples:,} images, of one class only {fewest}. Under {FEW} images "
        f"T itself is uncertain by 10 % and more; under {FEW_OF_A_CLASS} of a class vector scaling over-fits."
    ]


def temperature_text(label: CalibratedLabel) -> str:
    """The mean fitted temperature, "none" where a fit has no optimum, a dash without a fit."""
    fits = [record.temperature for record in label.records if record.temperature is not None]
    if not fits:
        return MISSING
    fitted = [fit.temperature for fit in fits if fit.converged]
    return f"{np.mean(fitted):.3f}" if len(fitted) == len(fits) else "none"


def _cell(label: CalibratedLabel, metric: str, of: str = TRAINED) -> Cell:
    values = label.values(metric, of)
    if len(values) < len(label.records):  # a mean over other seeds than its neighbours' would mislead
        return Cell(MISSING)
    style = ACCURACY if metric == "accuracy" else NLL if metric in ("nll", "brier") else ECE
    mean = style.text(float(np.mean(values)))
    if len(values) > 1:
        return Cell(mean, f"± {style.text(float(np.std(values, ddof=1)))}")
    interval = label.interval(metric, of) if metric != "accuracy" else None
    ends = () if interval is None or math.isnan(interval.low) else (interval.low, interval.high)
    return Cell(mean, "–".join(map(style.text, ends)))


def reliability_panels(labels: Sequence[CalibratedLabel], of: str = TRAINED) -> tuple[ReliabilityPanel, ...]:
    """A diagram for each label, of its first seed, which the note names where there are several."""
    panels = []
    for label, name in zip(labels, shortened([label.name for label in labels], TITLE), strict=True):
        if of not in label.records[0].scores:
            continue
        ece = f"ECE {label.records[0].value('ece', of):.3f}"
        note = ece if len(label.records) == 1 else f"{ece}, first of {len(label.records)} seeds"
        panels.append(ReliabilityPanel(name, _to_bins(label.records[0].scores[of].diagram), label.style, note))
    return tuple(panels)


def scaled_runs(labels: Sequence[CalibratedLabel]) -> tuple[ScaledRun, ...]:
    """Those labels whose temperature could be fitted for every seed, before and after."""
    found = []
    for label, name in zip(labels, shortened([label.name for label in labels], TITLE), strict=True):
        after = np.array(label.values("ece", TEMPERATURE))
        if len(after) == len(label.records):
            temperatures = np.array([r.temperature.temperature for r in label.records if r.temperature is not None])
            found.append(ScaledRun(name, label.style, np.array(label.values("ece")), after, temperatures))
    return tuple(found)


def comparison_grids(comparison: Comparison) -> tuple[AlphaGrid, ...]:
    """The label schemes of a comparison over alpha; empty unless one was trained with three alphas or more.

    Virtual smoothing counts with V = K alone, so that only alpha differs; other objectives have no alpha.
    """
    runs = [
        run
        for run in comparison.runs
        if run.variant == Variant(run.variant.objective)  # of other methods and teachers alpha is not all that differs
        and run.variant.objective.kind in SHORT_NAMES
        and run.variant.objective.num_virtual in (0, run.num_classes) and run.history
        and math.isfinite(run.value("ece")) and math.isfinite(run.history[-1].validation["accuracy"])
    ]
    grids = alpha_grids(
        [run.variant.objective.kind for run in runs],
        [run.variant.objective.parameter or 0.0 for run in runs],
        [run.seed for run in runs],
        [run.history[-1].validation["accuracy"] for run in runs],
        [run.value("ece") for run in runs],
    ) if runs else ()
    return grids if any(len(grid.alphas) >= GRID_ALPHAS for grid in grids) else ()


def _to_bins(diagram: ReliabilityBins) -> Bins:
    return Bins(*(getattr(diagram, item.name).numpy() for item in fields(Bins)))
