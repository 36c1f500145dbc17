from __future__ import annotations

import re

import numpy as np
import pytest

from vsmooth.report.drawing.canvas import to_svg
from vsmooth.report.drawing.style import Style
from vsmooth.report.robust.figures import (
    LossSurface,
    RobustCurve,
    accuracy_against_epsilon,
    accuracy_against_steps,
    adversarial_grid,
    loss_surface_figure,
)

EPSILON = 8 / 255


def curve(name: str, accuracy: list[float], x: tuple[int, ...] = (0, 8, 32)) -> RobustCurve:
    values = np.array(accuracy)
    return RobustCurve(name, Style("#0072b2", "D", "-"), np.array(x), values, values / 2, values / 2 + 0.5)


def test_lines_are_percentages_and_bands_the_intervals() -> None:
    curves = [curve("one-hot", [0.8, 0.2, 0.0]), curve("VS", [0.9, 0.4, 0.1])]
    figure = accuracy_against_epsilon(curves, "Epsilon, 1/255")
    (axes,) = figure.axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[80, 20, 0], [90, 40, 10]]
    band = axes.collections[0].get_paths()[0].vertices
    at_8 = band[band[:, 0] == 8, 1]
    assert (at_8.min(), at_8.max()) == pytest.approx((10, 60))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one-hot", "VS"]
    assert axes.get_xlabel() == "Epsilon, 1/255"
    assert axes.get_ylim() == pytest.approx((0, 100))


def test_names_stand_apart_where_lines_end_together() -> None:
    curves = [curve(name, [first, 0.0], (20, 100)) for name, first in (("better", 0.9), ("worse", 0.5), ("best", 0.95))]
    (axes,) = accuracy_against_steps(curves).axes
    heights = {text.get_text(): text.xyann[1] for text in axes.texts}  # type: ignore[attr-defined]
    assert heights["worse"] < heights["better"] - 0.08 < heights["best"] - 0.16
    assert heights["worse"] >= 0


def test_steps_are_on_a_logarithmic_axis_and_named_one_by_one() -> None:
    figure = accuracy_against_steps([curve("VS", [0.5, 0.4, 0.39], (20, 100, 1000))])
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["20", "100", "1,000"]
    assert axes.lines[0].get_xdata().tolist() == [20, 100, 1000]


def test_the_change_is_grey_where_nothing_changes_and_white_where_most_does() -> None:
    images = np.full((2, 3, 4, 4), 0.5)
    adversarial = images.copy()
    adversarial[0, :, 0, 0] += EPSILON
    adversarial[0, :, 0, 1] -= EPSILON
    adversarial[1, 2, 3, 3] += EPSILON / 2
    figure = adversarial_grid(images, adversarial, right=["cat", "dog"], wrong=["ship", "frog"])
    rows = np.array(figure.axes).reshape(3, 2)
    first, second = (np.asarray(axes.images[0].get_array()) for axes in rows[1])
    assert first[0, 0] == pytest.approx([1, 1, 1])
    assert first[0, 1] == pytest.approx([0, 0, 0], abs=1e-12)
    assert first[1:] == pytest.approx(0.5)
    assert second[3, 3] == pytest.approx([0.5, 0.5, 0.75])
    assert np.asarray(rows[2, 0].images[0].get_array()) == pytest.approx(adversarial[0].transpose(1, 2, 0))
    assert [axes.get_title() for axes in (*rows[0], *rows[2])] == ["cat", "dog", "ship", "frog"]
    assert [axes.get_ylabel() for axes in rows[:, 0]] == ["image", "change\nx 15.9", "image +\nchange"]


def test_grey_images_have_two_dimensions() -> None:
    figure = adversarial_grid(np.zeros((1, 1, 4, 5)), np.ones((1, 1, 4, 5)))
    assert np.asarray(figure.axes[1].images[0].get_array()).shape == (4, 5)
    assert "x 0.5" in figure.axes[1].get_ylabel()
    unchanged = adversarial_grid(np.zeros((1, 1, 4, 5)), np.zeros((1, 1, 4, 5)))
    assert np.asarray(unchanged.axes[1].images[0].get_array()) == pytest.approx(0.5)


def test_a_surface_rises_to_the_right_along_the_gradient() -> None:
    along, across = np.linspace(-1, 1, 5), np.linspace(-0.5, 0.5, 3)
    loss = 3 * along[:, None] + 0 * across
    figure = loss_surface_figure([LossSurface("VS", along, across, loss, "image 3")])
    axes = figure.axes[0]
    bands = [np.asarray(path.vertices) for path in axes.collections[0].get_paths() if len(path.vertices)]
    width = 2 / len(bands)
    for place, band in enumerate(bands):  # each a vertical stripe, from left to right
        assert (band[:, 0].min(), band[:, 0].max()) == pytest.approx((-1 + place * width, -1 + (place + 1) * width))
        assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((-0.5, 0.5))
    assert axes.get_title(loc="left") == "VS"
    assert figure.axes[1].get_ylabel() == "loss, nats"


def test_flat_and_infinite_surfaces_are_drawn() -> None:
    steps = np.linspace(-1, 1, 3)
    broken = np.arange(9.0).reshape(3, 3)
    broken[2, 2] = np.inf
    surfaces = [LossSurface(name, steps, steps, loss) for name, loss in (("flat", np.zeros((3, 3))), ("inf", broken))]
    svg = to_svg(loss_surface_figure(surfaces), "surfaces", "s")
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))


def test_nothing_to_draw_and_other_shapes_are_errors() -> None:
    images = np.zeros((2, 3, 4, 4))
    for draw in (accuracy_against_epsilon, accuracy_against_steps, loss_surface_figure):
        with pytest.raises(ValueError, match="there is no"):
            draw([])
    with pytest.raises(ValueError, match=r"two times images \(N, C, H, W\), got \(2, 3, 4, 4\) and \(1, 3, 4, 4\)"):
        adversarial_grid(images, images[:1])
    with pytest.raises(ValueError, match="there are 2 images and 1 decisions"):
        adversarial_grid(images, images, right=["cat"])
    steps = np.linspace(-1, 1, 3)
    with pytest.raises(ValueError, match=r"'VS' has a loss of shape \(2, 3\), its axes are \(3, 3\)"):
        loss_surface_figure([LossSurface("VS", steps, steps, np.zeros((2, 3)))])
