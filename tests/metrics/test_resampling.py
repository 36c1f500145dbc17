"""The bootstrap of any statistic: scipy as the reference, limits, and what it refuses."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from scipy import stats

from vsmooth.metrics import bootstrap_statistic, excludes_zero


@pytest.mark.parametrize("method", ["basic", "percentile"])
def test_agrees_with_scipy(method: Literal["basic", "percentile"]) -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()

    def statistic(indices: torch.Tensor) -> torch.Tensor:
        drawn = values[indices]
        return torch.stack([drawn.mean(), drawn.std(correction=0) / drawn.mean()])

    mean, variation = bootstrap_statistic(statistic, 400, resamples=4000, method=method)
    assert mean.value == pytest.approx(float(values.mean()))
    for found, function in ((mean, np.mean), (variation, lambda x: x.std() / x.mean())):
        reference = stats.bootstrap(
            (values.numpy(),), function, n_resamples=4000, method=method, vectorized=False, rng=1
        ).confidence_interval
        width = reference.high - reference.low
        assert (found.low, found.high) == pytest.approx(tuple(reference), abs=0.05 * width)


def test_numbers_share_their_resamples() -> None:
    values = torch.arange(50.0)
    one, other, difference = bootstrap_statistic(
        lambda i: torch.stack([values[i].mean(), values[i].mean() + 3, (values[i] + 3 - values[i]).mean()]), 50
    )
    assert other.low == pytest.approx(one.low + 3)
    assert (difference.value, difference.low, difference.high) == (3, 3, 3)  # paired: the samples cancel
    assert excludes_zero(difference)
    assert not excludes_zero(bootstrap_statistic(lambda i: values[i].mean()[None] - 24.5, 50)[0])


def test_the_seed_decides_and_nan_resamples_do_not_count() -> None:
    values = torch.randn(20, generator=torch.Generator().manual_seed(0))

    def statistic(indices: torch.Tensor) -> torch.Tensor:
        rare = torch.tensor(float("nan")) if int(indices[0]) == 3 else values[indices].mean()
        return rare[None]

    first, again, other = (bootstrap_statistic(statistic, 20, resamples=200, seed=seed)[0] for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first.low < first.value < first.high


@pytest.mark.parametrize(
    ("samples", "settings", "message"),
    [
        (0, {}, "an interval needs samples, got none"),
        (5, {"resamples": 10}, "at least 40 resamples, got 10"),
        (5, {"level": 1.0}, "1"),
    ],
)
def test_bad_input_is_named(samples: int, settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_statistic(lambda i: torch.zeros(1), samples, **settings)  # type: ignore[arg-type]
