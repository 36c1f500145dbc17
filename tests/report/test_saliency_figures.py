from __future__ import annotations

import numpy as np
import pytest
import torch

from vsmooth.report.inspection.saliency_figures import input_gradient_grid


def images(count: int = 2, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((count, channels, 8, 8))


def gradients(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, channels, 8, 8))


def test_a_row_for_each_image_and_a_column_for_each_map() -> None:
    maps = {"VS\ncorrect": gradients(), "VS\nvirtual": torch.from_numpy(gradients())}
    figure = input_gradient_grid(images(), maps, captions=["cat", "dog"])
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in figure.axes[:3]] == ["image", "VS\ncorrect", "VS\nvirtual"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["cat", "", "", "dog", "", ""]
    shown = figure.axes[3].images[0].get_array()
    assert np.asarray(shown) == pytest.approx(images()[1].transpose(1, 2, 0))


def test_magnitude_is_the_sum_over_channels_up_to_a_percentile() -> None:
    values = gradients()
    values[0, 0, 0, 0] = 1e6  # one hot pixel does not pale the rest
    figure = input_gradient_grid(images(), {"map": values})
    shown = np.asarray(figure.axes[1].images[0].get_array())
    total = np.abs(values[0]).sum(axis=0)
    assert shown == pytest.approx(np.clip(total / np.percentile(total, 99), 0, 1))
    other = np.asarray(figure.axes[3].images[0].get_array())
    assert other.max() == 1
    assert np.median(other) > 0.1


def test_colour_is_grey_where_there_is_no_gradient() -> None:
    values = gradients()
    values[0, :, :4] = 0
    figure = input_gradient_grid(images(), {"map": values}, style="colour")
    shown = np.asarray(figure.axes[1].images[0].get_array())
    assert shown[:4] == pytest.approx(0.5)
    expected = np.clip(0.5 + values[0].transpose(1, 2, 0) / (6 * values[0].std()), 0, 1)
    assert shown == pytest.approx(expected)


@pytest.mark.parametrize("style", ["magnitude", "colour"])
def test_grey_images_and_empty_maps_are_drawn(style: str) -> None:
    zero = np.zeros((2, 1, 8, 8))
    figure = input_gradient_grid(images(channels=1), {"zero": zero}, style=style)  # type: ignore[arg-type]
    picture = figure.axes[0].images[0]
    drawn = picture.cmap(picture.norm(picture.get_array()))[..., 0]
    assert drawn == pytest.approx(images(channels=1)[0, 0], abs=0.01)  # bright pixels are drawn bright
    assert np.isfinite(np.asarray(figure.axes[1].images[0].get_array())).all()


@pytest.mark.parametrize("rows", [1, 5])
def test_titles_and_captions_stay_in_the_picture(rows: int) -> None:
    maps = {"VS 0.3\ncorrect": np.ones((rows, 3, 8, 8)), "VS 0.3\nvirtual": np.ones((rows, 3, 8, 8))}
    figure = input_gradient_grid(images(rows), maps, captions=["automobile"] * rows)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.x0 > -0.01
    assert box.y0 > -0.01
    assert box.x1 < figure.get_figwidth() + 0.01
    assert box.y1 < figure.get_figheight() + 0.01


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"'map' has shape \(2, 1, 8, 8\), the images \(2, 3, 8, 8\)"):
        input_gradient_grid(images(), {"map": gradients(channels=1)})
    with pytest.raises(ValueError, match=r"images \(N, C, H, W\) and .* got \(0, 3, 8, 8\), 'magnitude'"):
        input_gradient_grid(images(0), {})
    with pytest.raises(ValueError, match="'rainbow'"):
        input_gradient_grid(images(), {}, style="rainbow")  # type: ignore[arg-type]
