"""Sections on how the results of a comparison came about: training curves, the choice of a parameter, every run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.run import EpochRecord
from vsmooth.report.comparison import figures
from vsmooth.report.comparison.provenance import differences_of_environment
from vsmooth.report.comparison.reliability import Floats
from vsmooth.report.comparison.tables import seed_table, selection_table
from vsmooth.report.drawing.style import styles
from vsmooth.report.section import Bullets, Caption, Command, Details, Facts, Figure, Panels, Section, Text

CURVES = (
    ("accuracy", "Validation accuracy, %", True),
    ("nll", "Validation NLL, nats", False),
    ("ece", "Validation ECE", False),
    ("robust_accuracy", "Held-out accuracy under PGD, %", True),
    ("fgsm_accuracy", "Held-out accuracy under FGSM, %", True),
    ("virtual_mass", "Mass on virtual classes, clean images", False),
    ("virtual_mass_attacked", "Mass on virtual classes, attacked images", False),
)
_WIDTH = 310  # of a panel of curves, in pixels


def training_sections(comparison: Comparison) -> tuple[Section, ...]:
    """From training curves to the command."""
    shown = _notices, _curves, _loss_parts, _selection, _runs, _reproduce
    return tuple(show(comparison) for show in shown)


def _notices(comparison: Comparison) -> Section:
    """What was found during training, run by run."""
    found = tuple(
        f"{group.name}, seed {run.seed}: {notice}"
        for group in comparison.groups
        for run in group.runs
        for notice in run.notices
    )
    title = "Found during training"
    return Section(title, Bullets((), warnings=found)) if found else Section(title)


def _curves(comparison: Comparison) -> Section:
    found = (
        _panel(comparison, f"curve-{metric}", title, partial(_validation, metric), percent)
        for metric, title, percent in CURVES
    )
    words = (
        "On validation images, which are cut from the training set. Lines are means over the seeds, bands "
        "their range. Training losses are left out: each label has its own scale."
    )
    if comparison.attacked:
        words += " Dots mark the epoch of each seed that stood PGD best; the last epoch is where the lines end."
    return _panels("Training curves", words, tuple(filter(None, found)))


def _loss_parts(comparison: Comparison) -> Section:
    """Of methods whose loss has several."""
    epochs = [epoch for run in comparison.runs for epoch in run.history if len(epoch.parts) > 1]
    names = dict.fromkeys(name for epoch in epochs for name in epoch.parts)
    found = (
        _panel(comparison, f"loss-part-{place + 1}", name, partial(_part, name))
        for place, name in enumerate(names)
    )
    words = (
        "Each part of the training loss as the method reports it, before it is weighted: mean over an epoch. Lines are "
        "means over the seeds, bands their range."
    )
    return _panels("Parts of the training loss", words, tuple(filter(None, found)))


def _panels(title: str, words: str, panels: tuple[Figure, ...]) -> Section:
    return Section(title, Caption(words), Panels(panels, _WIDTH)) if panels else Section(title)


def _panel(
    comparison: Comparison, name: str, title: str, read: Callable[[EpochRecord], float | None], percent: bool = False
) -> Figure | None:
    """A curve for each label that has the value; None where none has."""
    curves = [
        figures.Curve(group.name, look, values, _best_epochs(group) if name == "curve-robust_accuracy" else ())
        for group, look in zip(comparison.groups, styles(comparison.groups), strict=True)
        if (values := _history(group, read)).shape[1]
    ]
    draw = partial(figures.training_curves, curves, title, percent)
    return Figure(name, f"{title} by epoch", draw) if curves else None


def _best_epochs(group: Group) -> tuple[int, ...]:
    """Of each run of the group, counted from 1; none unless every run kept one."""
    found = tuple(run.best.epoch for run in group.runs if run.best is not None)
    return found if len(found) == len(group.runs) else ()


def _validation(metric: str, epoch: EpochRecord) -> float | None:
    return epoch.validation.get(metric)


def _part(name: str, epoch: EpochRecord) -> float | None:
    return epoch.parts.get(name)


def _history(group: Group, read: Callable[[EpochRecord], float | None]) -> Floats:
    """(seeds, epochs), as many epochs as all runs have; none where no value is known."""
    shortest = min(len(run.history) for run in group.runs)
    values = np.array([[read(epoch) for epoch in run.history[:shortest]] for run in group.runs], dtype=np.float64)
    return values if np.isfinite(values).any() else values[:, :0]


def _selection(comparison: Comparison) -> Section:
    title, words = "How the parameter was chosen", (
        "Each candidate was scored on validation images; the test images had no part in the choice."
    )
    found = [Section(group.name, table) for group in comparison.groups if (table := selection_table(group))]
    return Section(title, Text(words), *found) if found else Section(title)


def _runs(comparison: Comparison) -> Section:
    count = len(comparison.runs)
    summary = f"{count} run{'s' if count != 1 else ''}, one row per seed"
    return Section("Every run", Details(summary, (seed_table(comparison),)))


def _reproduce(comparison: Comparison) -> Section:
    seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in comparison.runs}))
    differing = differences_of_environment(comparison.runs)
    facts = Facts({**comparison.environment, "seeds": seeds})
    return Section("Reproduce", Command(comparison.command), facts, *([Bullets(differing)] if differing else []))
