"""Figures of the last layer: what is drawn, vector output, bad input."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from vsmooth.report.drawing.canvas import to_svg
from vsmooth.report.drawing.style import Style
from vsmooth.report.inspection.representation_figures import (
    PLANE_POINTS,
    MassColumn,
    PlaneCloud,
    PlaneColumn,
    plane_figure,
    similarity_heatmaps,
    virtual_mass_histogram,
)

STYLE = Style("#0072b2", "D", "-")
NAMES = ("airplane", "automobile", "bird")
CORNERS = np.array([[0.0, 0], [10, 0], [5, 8]])


def cloud(samples: int = 60, seed: int = 0) -> PlaneCloud:
    members = np.arange(samples) % 3
    return PlaneCloud(CORNERS[members] + np.random.default_rng(seed).normal(size=(samples, 2)), members)


def column(name: str, **settings: Any) -> PlaneColumn:
    clouds = {"train": cloud(seed=0), "test": cloud(seed=1)}
    return PlaneColumn(name, clouds, CORNERS, **settings)


def drawn_points(axes: Any) -> list[np.ndarray]:
    return [collection.get_offsets().data for collection in axes.collections]


def test_the_plane_has_a_column_for_each_network_and_a_row_for_each_split() -> None:
    figure = plane_figure([column("one-hot"), column("LS 0.1"), column("VS 0.3", note="alpha 0.3")], NAMES)
    assert len(figure.axes) == 6
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == ["one-hot", "LS 0.1", "VS 0.3"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["train", "", "", "test", "", ""]
    assert figure.axes[2].texts[0].get_text() == "alpha 0.3"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [*NAMES, "outlined: template"]


def test_every_sample_and_template_is_drawn_in_view() -> None:
    far = np.array([[40.0, -30]])
    figure = plane_figure([column("VS 0.3", virtual=far)], NAMES)
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "virtual templates"
    for axes, split in zip(figure.axes, ("train", "test"), strict=True):
        points = drawn_points(axes)
        for member in range(3):
            shown = cloud(seed=0 if split == "train" else 1)
            assert points[member] == pytest.approx(shown.points[shown.members == member])
        assert points[3] == pytest.approx(far)
        assert np.concatenate(points[4::2]) == pytest.approx(CORNERS)
        low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
        everything = np.concatenate(points)
        assert (everything >= low).all()
        assert (everything <= high).all()
        assert axes.get_aspect() == 1  # the isometry would be lost otherwise


def test_large_clouds_are_thinned_evenly() -> None:
    clouds = {"test": cloud(samples=30_000)}
    (axes,) = plane_figure([PlaneColumn("x", clouds, CORNERS)], NAMES).axes
    sizes = [len(points) for points in drawn_points(axes)[:3]]
    assert sum(sizes) == PLANE_POINTS
    assert min(sizes) > PLANE_POINTS / 3.5


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("note", ["", "shows 93 % of the spread of means"])
def test_titles_and_legend_stay_in_the_picture(columns: int, note: str) -> None:
    shown = [column(f"VS 0.{i}", virtual=CORNERS[:1], note=note) for i in range(columns)]
    figure = plane_figure(shown, ("aquarium fish", "lawn mower", "sweet pepper"))
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.x0 > -0.01
    assert box.y0 > -0.01
    assert box.x1 < figure.get_figwidth() + 0.01
    assert box.y1 < figure.get_figheight() + 0.01


def test_a_class_without_samples_and_a_single_point_are_drawn() -> None:
    lonely = PlaneCloud(np.zeros((1, 2)), np.array([1]))
    figure = plane_figure([PlaneColumn("x", {"test": lonely}, np.zeros((3, 2)))], NAMES)
    low, high = figure.axes[0].get_xlim()
    assert low < 0 < high


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_output_is_vector(kind: str) -> None:
    buffer = io.BytesIO()
    plane_figure([column("VS 0.3")], NAMES).savefig(buffer, format=kind)
    assert (b"<image" if kind == "svg" else b"/Subtype /Image") not in buffer.getvalue()
    assert "outlined: template" in to_svg(plane_figure([column("VS 0.3")], NAMES), "plane", "p")


def test_heat_maps_share_a_scale_and_leave_out_the_diagonal() -> None:
    first, second = np.full((3, 3), 0.2), torch.full((3, 3), 0.7)  # tensors are arrays too
    first[0, 0] = 99
    figure = similarity_heatmaps({"one-hot": first, "people": second}, NAMES)
    images = [axes.images[0] for axes in figure.axes[:2]]
    assert [image.get_clim() for image in images] == [pytest.approx((0, 0.7))] * 2
    assert all(np.isnan(np.diagonal(image.get_array().filled(np.nan))).all() for image in images)
    assert first[0, 0] == 99  # the caller's matrix is left alone
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(NAMES)


def test_heat_maps_of_many_classes_have_no_names() -> None:
    figure = similarity_heatmaps({"x": np.random.default_rng(0).random((50, 50))}, [f"class {i}" for i in range(50)])
    assert list(figure.axes[0].get_xticks()) == []


def test_mass_histogram_shows_shares_and_alpha() -> None:
    mass = np.random.default_rng(0).beta(30, 70, 500)
    figure = virtual_mass_histogram([MassColumn("VS 0.3", STYLE, mass, 0.3), MassColumn("VS 0.5", STYLE, mass, 0.5)])
    for axes, alpha in zip(figure.axes, (0.3, 0.5), strict=True):
        assert sum(bar.get_height() for bar in axes.containers[0]) == pytest.approx(1)
        assert axes.lines[0].get_xdata()[0] == alpha
    assert figure.axes[0].get_title(loc="left") == f"VS 0.3: mean {mass.mean():.3f} (alpha 0.3)"


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="three class names, got 2 names"):
        plane_figure([column("x")], NAMES[:2])
    with pytest.raises(ValueError, match="one network or more"):
        plane_figure([], NAMES)
    with pytest.raises(ValueError, match="every network must show the same splits"):
        plane_figure([column("x"), PlaneColumn("y", {"test": cloud()}, CORNERS)], NAMES)
    with pytest.raises(ValueError, match=r"'x' has shape \(3, 3\) for 4 class names"):
        similarity_heatmaps({"x": np.eye(3)}, "abcd")
    with pytest.raises(ValueError, match="no similarity matrix to draw"):
        similarity_heatmaps({}, NAMES)
    with pytest.raises(ValueError, match="no network with virtual classes"):
        virtual_mass_histogram([])
