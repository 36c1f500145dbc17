"""A curve in characters, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS = " ▁▂▃▄▅▆▇█"


def draw_curve(
    values: Sequence[float], left: str, right: str, *, width: int = 60, height: int = 6, logarithmic: bool = False
) -> list[str]:
    """Lines of a filled curve of non-negative values, two rows high or more, its top and bottom at the side.

    ``left`` and ``right`` stand below the first and the last value. A value above 0 is never drawn as nothing.
    ``logarithmic``: heights go with log(value), from the smallest value above 0; for values over powers of ten.
    """
    top = max(values)
    positive = [value for value in values if value > 0]
    low = min(positive) if logarithmic and positive else 0.0
    columns = [values[index * len(values) // width] for index in range(width - 1)] + [values[-1]]
    levels = [_level(value, low, top, height * (len(_BLOCKS) - 1), logarithmic) for value in columns]
    labels = [f"{top:.3g}", *[""] * (height - 2), f"{low:.3g}"]
    margin = max(len(label) for label in labels)
    rows = [
        f"{label:>{margin}} │" + "".join(_block(level, row) for level in levels).rstrip()
        for row, label in zip(reversed(range(height)), labels, strict=True)
    ]
    below = " " * (margin + 1)
    return [*rows, f"{below}└{'─' * width}", f"{below} {left}{right:>{width - len(left)}}"]


def _level(value: float, low: float, top: float, levels: int, logarithmic: bool) -> int:
    if value <= 0:
        return 0
    if not logarithmic:
        return max(1, round(value / top * levels))
    share = 1.0 if top == low else math.log(value / low) / math.log(top / low)
    return 1 + round(share * (levels - 1))


def _block(level: int, row: int) -> str:
    steps = len(_BLOCKS) - 1
    return _BLOCKS[min(max(level - row * steps, 0), steps)]
