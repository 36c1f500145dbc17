"""Intervals of statistics that need the drawn samples themselves, not only their weights: bootstrap and jackknife."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vsmooth.metrics.binning import check_level
from vsmooth.metrics.bootstrap import BootstrapInterval, check_resamples

JACKKNIFE_GROUPS = 40  # Student's t with 39 degrees of freedom is 3 % wider than the normal interval

Statistic = Callable[[Tensor], Tensor]  # indices of samples (N,) to M numbers (M,)


def bootstrap_statistic(
    statistic: Statistic, num_samples: int, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[BootstrapInterval, ...]:
    """Percentile intervals of M numbers: `statistic(indices (N,)) -> (M,)`, on N indices drawn with replacement.

    [q_low, q_high] of the resampled values, which keeps correlations in [-1, 1]. For means and for differences of
    correlations, not for spreads: resampling adds noise to them (`jackknife_statistic`). Resamples in which a number is
    NaN do not count for it. The intervals hold no variation between training seeds. Source: Efron and Tibshirani
    (1993), Sec. 13.3. ValueError for no samples, fewer resamples than the level needs, and a level outside (0, 1).
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
    return _intervals(values, low, high)


def jackknife_statistic(
    statistic: Statistic, num_samples: int, *, groups: int = JACKKNIFE_GROUPS, level: float = 0.95, seed: int = 0
) -> tuple[BootstrapInterval, ...]:
    """Intervals of M smooth numbers by leaving out one of G random groups of samples at a time.

    With v the value and v_g that without group g, `v_c -+ t se` about the value without its bias of order 1/N,
    `v_c = v - (G - 1) (mean v_g - v)`, with `se^2 = (G - 1) / G sum_g (v_g - mean v_g)^2` and t the quantile of
    Student's t with G - 1 degrees of freedom. For means, spreads and what is smooth in them, not for ranks of a few
    numbers. A number that is NaN without some group has no interval (NaN ends). The intervals hold no variation between
    training seeds. Source: Efron and Tibshirani (1993), Ch. 11; Shao and Tu (1995), Sec. 2.3. ValueError for fewer than
    two samples or groups, and a level outside (0, 1). Fewer samples than groups are left out one by one.
    """
    from scipy.stats import t  # slow to import

    check_level(level)
    if num_samples < 2 or groups < 2:
        raise ValueError(f"a jackknife needs two samples and groups or more, got {num_samples} and {groups}")
    groups = min(groups, num_samples)
    values = statistic(torch.arange(num_samples)).double()
    order = torch.randperm(num_samples, generator=torch.Generator().manual_seed(seed))
    group = torch.arange(num_samples) % groups
    left = torch.stack([statistic(order[group != out]).double() for out in range(groups)])
    centre = values - (groups - 1) * (left.mean(0) - values)
    half = float(t.ppf((1 + level) / 2, groups - 1)) * (groups - 1) * left.std(0) / groups**0.5
    return _intervals(values, centre - half, centre + half)


def excludes_zero(interval: BootstrapInterval) -> bool:
    """Whether the interval lies on one side of 0; False where a bound is NaN."""
    return interval.low > 0 or interval.high < 0


def _intervals(values: Tensor, low: Tensor, high: Tensor) -> tuple[BootstrapInterval, ...]:
    return tuple(BootstrapInterval(*map(float, bounds)) for bounds in zip(values, low, high, strict=True))
