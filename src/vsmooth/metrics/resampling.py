"""Bootstrap of statistics that need the drawn samples themselves, not only their weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from vsmooth.metrics.binning import check_level
from vsmooth.metrics.bootstrap import BootstrapInterval, check_resamples


def bootstrap_statistic(
    statistic: Callable[[Tensor], Tensor],
    num_samples: int,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    method: Literal["basic", "percentile"] = "basic",
) -> tuple[BootstrapInterval, ...]:
    """Intervals of M numbers: `statistic(indices (N,)) -> (M,)`, on N indices drawn with replacement.

    "basic" is [2 v - q_high, 2 v - q_low], which takes out the bias that resampling adds to spreads; "percentile" is
    [q_low, q_high], which keeps correlations in [-1, 1]. Resamples in which a number is NaN do not count for it. The
    intervals hold no variation between training seeds. Source: Efron and Tibshirani (1993), Sec. 13.3; Davison and
    Hinkley (1997), Sec. 5.2. ValueError for no samples, fewer resamples than the level needs, and a level outside
    (0, 1).
    """
    check_level(level)
    check_resamples(resamples, level)
    if num_samples < 1:
        raise ValueError("an interval needs samples, got none")
    values = statistic(torch.arange(num_samples)).double()
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([
        statistic(torch.randint(num_samples, (num_samples,), generator=generator)).double() for _ in range(resamples)
    ])
    tail = (1 - level) / 2
    low, high = drawn.nanquantile(torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0)
    if method == "basic":
        low, high = 2 * values - high, 2 * values - low
    return tuple(
        BootstrapInterval(*map(float, bounds)) for bounds in zip(values, low, high, strict=True)
    )


def excludes_zero(interval: BootstrapInterval) -> bool:
    """Whether the interval lies on one side of 0; False where a bound is NaN."""
    return interval.low > 0 or interval.high < 0
