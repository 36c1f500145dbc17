"""Sections of the page on calibration records, ECE against alpha and shift; empty where there is nothing to show."""

from __future__ import annotations

from collections.abc import Sequence

from vsmooth.records.comparison import Comparison
from vsmooth.report.calibration.alpha_grid import alpha_table
from vsmooth.report.calibration.figures import ece_against_alpha, temperature_bars
from vsmooth.report.calibration.tables import (
    CalibratedLabel,
    calibrated_labels,
    calibration_table,
    comparison_grids,
    scaled_runs,
    scaling_table,
)
from vsmooth.report.render.html import framed, paragraph, section
from vsmooth.report.render.table import to_html
from vsmooth.report.shift.curves import shift_curves, shift_table
from vsmooth.report.shift.figures import shift_figure


def calibration_sections(comparison: Comparison) -> str:
    """What `vsmooth calibrate` left, and the grid of alphas where there is one."""
    labels = calibrated_labels(comparison)
    return (
        section("Calibration, error by error", _errors(labels))
        + section("Before and after scaling", _scaling(labels))
        + section("Calibration error against alpha", _alphas(comparison))
        + section("On corrupted images", _shift(comparison))
    )


def _errors(labels: Sequence[CalibratedLabel]) -> str:
    if not labels:
        return ""
    words = (
        "Different errors see different faults: the ECE those of the stated confidence, the class-wise ECE those of "
        "every class's probability. NLL and Brier score reward accuracy too; the Brier score is taken apart into "
        "miscalibration and resolution."
    )
    return paragraph(words) + to_html(calibration_table(labels))


def _scaling(labels: Sequence[CalibratedLabel]) -> str:
    if not labels:
        return ""
    words = (
        "A network whose confidence is wrong throughout can be mended afterwards: one number, fitted on validation "
        "images, divides its logits. What remains after that is what scaling cannot mend."
    )
    body = paragraph(words) + to_html(scaling_table(labels))
    runs = scaled_runs(labels)
    if len(runs) > 1:
        body += framed(temperature_bars(runs), "ECE before and after temperature scaling", "t", "wide")
    return body


def _alphas(comparison: Comparison) -> str:
    grids = comparison_grids(comparison)
    if not grids:
        return ""
    words = (
        "Each label at every alpha that was trained. The paper's Table 4 asks whether the alpha that is best for "
        "accuracy also keeps the calibration."
    )
    figure = framed(ece_against_alpha(grids), "Test ECE by alpha", "a", "wide")
    return paragraph(words) + to_html(alpha_table(grids), "compact") + figure


def _shift(comparison: Comparison) -> str:
    curves = shift_curves(comparison)
    if not curves:
        return ""
    words = (
        "Test images made worse in five steps by noise, blur, fog and the like: lines are means over the corruptions, "
        "bands their middle half. A network one can trust loses confidence as it loses accuracy."
    )
    figure = framed(shift_figure(curves), "Accuracy and ECE by severity of the corruption", "shift", "full")
    return paragraph(words) + figure + to_html(shift_table(curves))
