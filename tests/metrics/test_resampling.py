"""Bootstrap and jackknife of any statistic: scipy and hand formulas as references, limits, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from vsmooth.metrics import bootstrap_statistic, excludes_zero, jackknife_statistic


def test_agrees_with_scipy() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()

    def statistic(indices: torch.Tensor) -> torch.Tensor:
        drawn = values[indices]
        return torch.stack([drawn.mean(), drawn.std(correction=0) / drawn.mean()])

    mean, variation = bootstrap_statistic(statistic, 400, resamples=4000)
    assert mean.value == pytest.approx(float(values.mean()))
    for found, function in ((mean, np.mean), (variation, lambda x: x.std() / x.mean())):
        reference = stats.bootstrap(
            (values.numpy(),), function, n_resamples=4000, method="percentile", vectorized=False, rng=1
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


def test_a_jackknife_of_single_samples_is_students_t_and_takes_out_the_bias_of_a_variance() -> None:
    values = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()

    def statistic(indices: torch.Tensor) -> torch.Tensor:
        return torch.stack([values[indices].mean(), values[indices].var(correction=0)])

    mean, variance = jackknife_statistic(statistic, 30, level=0.9)
    expected = stats.t.interval(0.9, 29, loc=values.mean(), scale=stats.sem(values.numpy()))
    assert (mean.value, mean.low, mean.high) == pytest.approx((float(values.mean()), *expected))
    assert variance.value == pytest.approx(float(values.var(correction=0)))
    assert (variance.low + variance.high) / 2 == pytest.approx(float(values.var()))  # with N - 1


def test_a_jackknife_of_groups_covers_where_percentiles_of_a_spread_do_not() -> None:
    """The spread of 20 group means, truly .1, to which 25 samples of a group each add as much noise."""
    groups = torch.arange(500) % 20
    centres = 0.1 * torch.tensor([-1.0, 1.0]).repeat(10)
    held = []
    for seed in range(60):
        values = centres[groups] + 0.5 * torch.randn(500, generator=torch.Generator().manual_seed(seed))

        def spread(indices: torch.Tensor, values: torch.Tensor = values) -> torch.Tensor:
            total = torch.zeros(20).index_add(0, groups[indices], values[indices])
            return (total / torch.bincount(groups[indices], minlength=20)).std(correction=0)[None]

        found = jackknife_statistic(spread, 500)[0], bootstrap_statistic(spread, 500, resamples=100)[0]
        held.append([interval.low <= 0.1 <= interval.high for interval in found])
    jackknife, percentile = np.mean(held, axis=0)
    assert jackknife >= 0.87  # 95 % of 60 is 57; 52 lies three standard deviations below
    assert percentile < 0.5


def test_a_jackknife_refuses_what_it_cannot_split() -> None:
    for samples, groups in ((1, 40), (5, 1)):
        with pytest.raises(ValueError, match=f"two samples and groups or more, got {samples} and {groups}"):
            jackknife_statistic(lambda i: torch.zeros(1), samples, groups=groups)
