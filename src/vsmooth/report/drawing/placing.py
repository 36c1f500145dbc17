"""Placement of direct labels so that they do not cover points or each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.transforms import Bbox

Floats = npt.NDArray[np.float64]
Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels


def place_labels(
    names: Sequence[str], centres: Floats, points: Floats, frame: Bbox, scale: float
) -> list[Point]:
    """An offset in points for each name around its centre, clear of points, centres and earlier names.

    Centres (M, 2) and points (P, 2) are in pixels, as is `frame`, which labels should not leave; `scale`
    is pixels per point.
    """
    placed = [_box(x, y, 8 * scale, 8 * scale) for x, y in points]
    placed += [_box(x, y, 14 * scale, 14 * scale) for x, y in centres]
    found = []
    for name, (x, y) in zip(names, centres, strict=True):
        width, height = 7.0 * len(name), 12.0
        boxes = {
            offset: _box(x + offset[0] * scale, y + offset[1] * scale, width * scale, height * scale)
            for offset in _offsets(width, height)
        }
        best = min(boxes, key=lambda offset: _crowding(boxes[offset], placed, frame))
        placed.append(boxes[best])
        found.append(best)
    return found


def _offsets(width: float, height: float) -> list[Point]:
    x, y = width / 2 + 9, height / 2 + 8
    ring = [(x, 0.0), (0.0, y), (-x, 0.0), (0.0, -y), (x, y), (-x, y), (x, -y), (-x, -y)]
    return [(dx * step, dy * step) for step in (1.0, 1.7) for dx, dy in ring]


def _box(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _crowding(box: Box, placed: Sequence[Box], frame: Bbox) -> int:
    hits = sum(box[0] < p[2] and p[0] < box[2] and box[1] < p[3] and p[1] < box[3] for p in placed)
    outside = box[0] < frame.x0 or box[1] < frame.y0 or box[2] > frame.x1 or box[3] > frame.y1
    return int(hits + 100 * outside)


def spread(values: npt.ArrayLike, gap: float) -> Floats:
    """Heights near `values`, in the same order, at least `gap` apart and centred on the originals."""
    wanted = np.asarray(values, dtype=np.float64)
    order = np.argsort(wanted, kind="stable")
    steps = np.arange(len(wanted)) * gap
    # Distances of at least `gap` are a monotone fit once the gaps are taken out (pool adjacent violators).
    blocks: list[list[float]] = []
    for value in wanted[order] - steps:
        blocks.append([float(value)])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    fitted = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks]) + steps
    found = np.empty_like(wanted)
    found[order] = fitted
    return found
