"""Sections on calibration: its errors, the effect of scaling, and the ECE against alpha."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vsmooth.records.comparison import Comparison
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
from vsmooth.report.drawing.canvas import MOST_PANELS
from vsmooth.report.section import Figure, Section, Text


def sections(comparison: Comparison) -> tuple[Section, ...]:
    """What `vsmooth calibrate` left, and the grid of alphas where there is one."""
    return *label_sections(calibrated_labels(comparison)), *alpha_sections(comparison)


def label_sections(labels: Sequence[CalibratedLabel]) -> tuple[Section, ...]:
    """Of labels with calibration records, or of files of logits; none without any."""
    return (_errors(labels), _scaling(labels)) if labels else ()


def _errors(labels: Sequence[CalibratedLabel]) -> Section:
    words = (
        "Different errors see different faults: the ECE those of the stated confidence, the class-wise ECE those of "
        "every class's probability. NLL and Brier score reward accuracy too; the Brier score is taken apart into "
        "miscalibration and resolution."
    )
    return Section("Calibration, error by error", Text(words), calibration_table(labels))


def reliability_section(labels: Sequence[CalibratedLabel]) -> Section:
    """A diagram for each label, of its first seed; beside the sections of a comparison, which pools the seeds."""
    panels = reliability_panels(labels)
    rows = [panels[first : first + MOST_PANELS] for first in range(0, len(panels), MOST_PANELS)]
    found = (
        Figure(
            "reliability" if len(rows) == 1 else f"reliability-{place + 1}",
            f"Reliability diagrams of {', '.join(panel.name for panel in row)}",
            partial(reliability_diagrams, row),
            "full",
        )
        for place, row in enumerate(rows)
    )
    return Section("Is the confidence right?", *found)


def _scaling(labels: Sequence[CalibratedLabel]) -> Section:
    words = (
        "A network whose confidence is wrong throughout can be mended afterwards: one number, fitted on validation "
        "images, divides its logits. What remains after that is what scaling cannot mend."
    )
    runs = scaled_runs(labels)
    draw = partial(temperature_bars, runs)
    bars = Figure("temperature", "ECE before and after temperature scaling", draw, "wide")
    several = (bars,) if len(runs) > 1 else ()  # of one alone the table says as much
    return Section("Before and after scaling", Text(words), scaling_table(labels), *several)


def alpha_sections(comparison: Comparison) -> tuple[Section, ...]:
    """The grid of alphas; nothing where there is none."""
    grids = comparison_grids(comparison)
    if not grids:
        return ()
    words = (
        "Each label at every alpha that was trained. The paper's Table 4 asks whether the alpha that is best for "
        "accuracy also keeps the calibration."
    )
    figure = Figure("ece-against-alpha", "Test ECE by alpha", partial(ece_against_alpha, grids), "wide")
    return (Section("ECE against alpha", Text(words), alpha_table(grids), figure),)
