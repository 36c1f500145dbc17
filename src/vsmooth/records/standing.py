"""How many images still stand, as a share with its confidence interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from vsmooth.metrics.binning import wilson_interval

LEVEL = 0.95
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Standing:
    """`count` of `images` are classified correctly; `low` and `high` end the 95 % Wilson interval of that share."""

    count: int
    images: int
    low: float
    high: float

    @property
    def accuracy(self) -> float:
        """count / images, a fraction."""
        return self.count / self.images

    @classmethod
    def of(cls, count: int, images: int) -> Standing:
        """With the score interval of `wilson_interval`; ValueError unless 0 <= count <= images and images >= 1."""
        if images < 1 or not 0 <= count <= images:
            raise ValueError(f"a share needs 0 <= count <= images and an image, got {count} of {images}")
        low, high = wilson_interval(torch.tensor(count), torch.tensor(images), LEVEL)
        return cls(count, images, float(low), float(high))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Standing:
        """Undo `asdict`; KeyError, TypeError or ValueError for something else, another interval included."""
        found = cls.of(int(value["count"]), int(value["images"]))
        low, high = float(value["low"]), float(value["high"])
        if not (abs(low - found.low) < _ROUNDING and abs(high - found.high) < _ROUNDING):
            interval = f"{found.low:.4g} to {found.high:.4g}, not {low:.4g} to {high:.4g}"
            raise ValueError(f"the interval of {found.count} of {found.images} is {interval}")
        return found
