from __future__ import annotations

import re

import numpy as np
import pytest

from vsmooth.records.outcomes import Outcomes, outcomes
from vsmooth.report.comparison.figures import Cloud, Curve, accuracy_against_ece, confidence_histogram, training_curves
from vsmooth.report.drawing.canvas import to_svg
from vsmooth.report.drawing.style import Style

STYLE = Style("#0072b2", "D", "-")


@pytest.fixture
def found() -> Outcomes:
    rng = np.random.default_rng(0)
    return outcomes(3 * rng.normal(size=(300, 4)), rng.integers(0, 4, 300))


def test_confidence_histogram_shares(found: Outcomes) -> None:
    (axes,) = confidence_histogram("x", found, tallest=0.5).axes
    right, wrong = ([bar.get_height() for bar in container] for container in axes.containers)
    assert sum(right) == pytest.approx(1)
    assert sum(wrong) == pytest.approx(-1)
    assert axes.get_ylim() == pytest.approx((-0.525, 0.525))


def test_confidence_histogram_without_errors() -> None:
    (axes,) = confidence_histogram("x", outcomes(np.eye(4) * 5, np.arange(4))).axes
    assert sum(bar.get_height() for bar in axes.containers[1]) == 0


def test_scatter_names_every_label_inside_the_frame() -> None:
    clouds = [Cloud(f"VS 0.{i}", STYLE, np.array([0.02 + i / 500]), np.array([90.0])) for i in range(5)]
    figure = accuracy_against_ece(clouds)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [cloud.name for cloud in clouds]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_training_curves_name_lines_without_overlap() -> None:
    curves = [Curve(f"VS 0.{i}", STYLE, np.full((3, 8), 0.9 + i / 1e4)) for i in range(1, 5)]
    figure = training_curves(curves, "Validation accuracy, %", percent=True)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_tightbbox() for text in axes.texts]
    assert len(boxes) == 4
    assert axes.get_ylabel() == "Validation accuracy, %"
    assert axes.get_xlabel() == "Epoch"


def test_one_epoch_is_visible() -> None:
    (axes,) = training_curves([Curve("x", STYLE, np.array([[0.5]]))], "y").axes
    assert axes.lines[0].get_marker() == "D"


def test_svg_is_inline_scalable_and_has_unique_ids(found: Outcomes) -> None:
    figure = confidence_histogram("a", found)
    svg = to_svg(figure, 'A "title" <x>', "p7")
    assert svg.startswith('<svg role="img" aria-label="A &quot;title&quot; &lt;x&gt;"')
    opening = svg[: svg.index(">")]
    assert "viewBox" in opening
    assert " width=" not in opening
    assert " height=" not in opening
    assert "<text" in svg
    assert "metadata" not in svg
    assert "<?xml" not in svg
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    assert all(name.startswith("p7-") for name in ids)
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg)) <= ids
    assert svg == to_svg(figure, 'A "title" <x>', "p7")
