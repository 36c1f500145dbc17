"""Accuracy and calibration on corrupted images, by severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsmooth.report.comparison.reliability import Floats
from vsmooth.report.drawing.canvas import GRID, new_figure
from vsmooth.report.drawing.style import Style, mix_with_white

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class ShiftCurve:
    """One label: accuracy and ECE, fractions, of each corruption at each severity (corruptions, severities)."""

    name: str
    style: Style
    severities: Sequence[int]  # 0 is the unchanged images
    accuracy: Floats
    ece: Floats


def shift_figure(curves: Sequence[ShiftCurve]) -> Figure:
    """Accuracy and ECE by severity: the mean over the corruptions, the middle half of them shaded.

    ValueError for no curves.
    """
    if not curves:
        raise ValueError("there is no label to draw under shift")
    with new_figure(7.4, 3.1, ncols=2) as (figure, (left, right)):
        for axes, factor, title in ((left, 100, "Accuracy, %"), (right, 1, "ECE")):
            for curve in curves:
                values = factor * np.asarray(curve.accuracy if axes is left else curve.ece)
                low, high = np.quantile(values, [0.25, 0.75], axis=0)
                axes.fill_between(curve.severities, low, high, color=mix_with_white(curve.style.colour, 0.2),
                                  alpha=0.12, linewidth=0)
                axes.plot(curve.severities, values.mean(axis=0), curve.style.line, color=curve.style.colour,
                          marker=curve.style.marker, markersize=4, linewidth=1.6, label=curve.name)
            axes.grid(axis="y", color=GRID, linewidth=0.7)
            axes.set_title(title)
            axes.set(xlabel="Severity (0: unchanged images)", xticks=list(curves[0].severities))
        right.set_ylim(bottom=0)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(curves), 5), frameon=False)
    return figure
