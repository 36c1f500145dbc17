from __future__ import annotations

import numpy as np
import pytest

from vsmooth.report.drawing.style import Style
from vsmooth.report.shift.figures import ShiftCurve, shift_figure

SEVERITIES = (0, 1, 3, 5)


def curve(name: str, offset: float = 0.0) -> ShiftCurve:
    accuracy = np.linspace(0.9, 0.4, 4) - np.arange(5)[:, None] / 50 - offset
    return ShiftCurve(name, Style("#0072b2", "D", "-"), SEVERITIES, accuracy, 0.5 * (1 - accuracy))


def test_lines_are_means_over_the_corruptions_and_bands_their_middle_half() -> None:
    figure = shift_figure([curve("one-hot"), curve("VS 0.3", 0.01)])
    left, right = figure.axes
    assert left.lines[0].get_xdata() == pytest.approx(SEVERITIES)
    assert left.lines[0].get_ydata() == pytest.approx(100 * curve("").accuracy.mean(axis=0))
    assert right.lines[1].get_ydata() == pytest.approx(curve("", 0.01).ece.mean(axis=0))
    band = left.collections[0].get_paths()[0].vertices
    at_first = band[band[:, 0] == 0, 1]
    assert (at_first.min(), at_first.max()) == pytest.approx(tuple(100 * (0.9 - np.array([0.06, 0.02]))))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one-hot", "VS 0.3"]
    assert right.get_ylim()[0] == 0
    assert (left.get_title(loc="left"), right.get_title(loc="left")) == ("Accuracy, %", "ECE")


def test_no_curve_is_an_error() -> None:
    with pytest.raises(ValueError, match="no label to draw under shift"):
        shift_figure([])
