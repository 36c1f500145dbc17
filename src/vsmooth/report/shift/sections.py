"""The section on corrupted images."""

from __future__ import annotations

from functools import partial

from vsmooth.records.comparison import Comparison
from vsmooth.report.section import Caption, Figure, Section, Text
from vsmooth.report.shift.curves import shift_curves, shift_table
from vsmooth.report.shift.figures import shift_figure


def sections(comparison: Comparison) -> tuple[Section, ...]:
    """What `vsmooth calibrate --shift` left; nothing where no run was evaluated so."""
    curves = shift_curves(comparison)
    if not curves:
        return ()
    words = (
        "Test images made worse in five steps by noise, blur, fog and the like. A network one can trust loses "
        "confidence as it loses accuracy."
    )
    caption = "Lines are means over the corruptions, bands their middle half."
    description = "Accuracy and ECE by severity of the corruption"
    figure = Figure("shift", description, partial(shift_figure, curves), "full")
    return (Section("On corrupted images", Text(words), Caption(caption), figure, shift_table(curves)),)
