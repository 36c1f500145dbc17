"""Input gradients as pictures, beside the images they belong to (the paper's Fig. 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from vsmooth.report.comparison.reliability import Floats
from vsmooth.report.drawing.canvas import GRID, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLIPPED = 99.0  # per cent of a map's pixels below full colour: one hot pixel must not pale the rest


def input_gradient_grid(
    images: npt.ArrayLike,
    maps: Mapping[str, npt.ArrayLike],
    *,
    captions: Sequence[str] = (),
    style: Literal["magnitude", "colour"] = "magnitude",
) -> Figure:
    """A row for each image: the image, then a picture for each set of gradients.

    images (N, C, H, W) in [0, 1]; maps by column title, gradients (N, C, H, W). "magnitude" shows the sum of |g| over
    the channels, white to dark, each picture by itself up to its 99th percentile; "colour" the gradients themselves,
    3 standard deviations either side of grey (Tsipras et al. 2019, Fig. 2). captions: a text to the left of each row.
    ValueError for another style, no images, and maps of another shape.
    """
    pictures = np.asarray(images, dtype=np.float64)
    if pictures.ndim != 4 or len(pictures) == 0 or style not in ("magnitude", "colour"):
        found = f"{pictures.shape}, {style!r}"
        raise ValueError(f"a grid needs images (N, C, H, W) and 'magnitude' or 'colour', got {found}")
    gradients = {title: np.asarray(values, dtype=np.float64) for title, values in maps.items()}
    for title, values in gradients.items():
        if values.shape != pictures.shape:
            raise ValueError(f"{title!r} has shape {values.shape}, the images {pictures.shape}")
    rows, columns = len(pictures), 1 + len(gradients)
    lines = 1 + max((title.count("\n") for title in gradients), default=0)
    size = 1.15 * columns + 0.7 * bool(captions), 1.15 * rows + 0.08 + 0.17 * lines
    with new_figure(*size, nrows=rows, ncols=columns, squeeze=False) as (figure, grid):
        figure.set_layout_engine("compressed", w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
        for row in range(rows):
            _show(grid[row, 0], _channels_last(pictures[row]))
            for column, values in enumerate(gradients.values(), start=1):
                _show(grid[row, column], _magnitude(values[row]) if style == "magnitude" else _colour(values[row]))
            if captions:
                grid[row, 0].set_ylabel(captions[row], rotation=0, ha="right", va="center", fontsize=8)
        for axes, title in zip(grid[0], ("image", *gradients), strict=True):
            axes.set_title(title, fontsize=8.5, loc="center", fontweight="normal")
    return figure


def _show(axes: Axes, picture: Floats) -> None:
    axes.imshow(picture, cmap="gray_r" if picture.ndim == 2 else None, vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(visible=True, color=GRID)


def _channels_last(image: Floats) -> Floats:
    return 1 - image[0] if len(image) == 1 else image.transpose(1, 2, 0)  # grey ones are drawn white to dark


def _magnitude(gradient: Floats) -> Floats:
    total = np.abs(gradient).sum(axis=0)
    return np.clip(total / (np.percentile(total, CLIPPED) or total.max() or 1.0), 0, 1)


def _colour(gradient: Floats) -> Floats:
    return _channels_last(np.clip(0.5 + gradient / (6 * (gradient.std() or 1.0)), 0, 1))
