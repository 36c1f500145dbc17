"""How many images still stand, as a share with its confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

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

    def __post_init__(self) -> None:
        if self.images < 1 or not 0 <= self.count <= self.images:
            raise ValueError(f"a share needs 0 <= count <= images and an image, got {self.count} of {self.images}")
        if not 0 <= self.low <= self.accuracy + _ROUNDING or not self.accuracy - _ROUNDING <= self.high <= 1:
            raise ValueError(f"the interval of {self.count} of {self.images} is not {self.low:.4g} to {self.high:.4g}")

    def check_stored(self) -> None:
        """ValueError unless the interval is that of the count, up to rounding: so a changed count is noticed."""
        own = Standing.of(self.count, self.images)
        if max(abs(self.low - own.low), abs(self.high - own.high)) > _ROUNDING:
            raise ValueError(
                f"the interval of {self.count} of {self.images} is {own.low:.4g} to {own.high:.4g}, not {self.low:.4g} "
                f"to {self.high:.4g}"
            )

    @classmethod
    def of(cls, count: int, images: int) -> Standing:
        """With the score interval of `wilson_interval`; ValueError unless 0 <= count <= images and images >= 1."""
        low, high = wilson_interval(torch.tensor(count), torch.tensor(images), LEVEL)
        return cls(count, images, float(low), float(high))
