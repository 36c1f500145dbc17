from __future__ import annotations

import numpy as np
import pytest

from vsmooth.records.statistics import mean_std, paired_bootstrap, paired_difference, student_t_quantile


def test_mean_std_by_hand() -> None:
    found = mean_std([1.0, 2.0, 6.0])
    assert found.mean == pytest.approx(3.0)
    assert found.std == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2


def test_one_value_has_no_standard_deviation() -> None:
    assert mean_std([0.5]).std is None


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        mean_std([])


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (30, 2.0423)]
)
def test_student_t_against_the_printed_table(degrees: int, quantile: float) -> None:
    assert student_t_quantile(0.95, degrees) == pytest.approx(quantile, abs=5e-5)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 20, 101])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_student_t_against_scipy(degrees: int, confidence: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.t.ppf((1 + confidence) / 2, degrees)
    assert student_t_quantile(confidence, degrees) == pytest.approx(expected, rel=1e-9)


def test_paired_difference_by_hand() -> None:
    # differences 1, 1, 2: mean 4/3, standard deviation 1/sqrt(3)
    found = paired_difference([1.0, 2.0, 4.0], [0.0, 1.0, 2.0])
    half = 4.302653 / 3
    assert (found.mean, found.low, found.high) == pytest.approx((4 / 3, 4 / 3 - half, 4 / 3 + half))
    assert found.seeds == 3
    assert not found.distinguishable


def test_paired_difference_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = np.random.default_rng(0).normal(size=(2, 6))
    interval = stats.ttest_rel(a, b).confidence_interval(0.9)
    found = paired_difference(a.tolist(), b.tolist(), confidence=0.9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_no_interval() -> None:
    found = paired_difference([0.9], [0.8])
    assert (found.low, found.high, found.seeds, found.distinguishable) == (None, None, 1, False)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="equal lengths, got 2 and 1"):
        paired_difference([1, 2], [1])
    with pytest.raises(ValueError, match="between 0 and 1, got 95"):
        paired_difference([1, 2], [1, 2], confidence=95)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        student_t_quantile(0.95, 0)
    with pytest.raises(ValueError, match=r"non-empty \(N, M\) array, got shape \(3,\)"):
        paired_bootstrap(np.ones(3), lambda means: means[:, 0])


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(0.3, 2.0, (2000, 1))
    found = paired_bootstrap(values, lambda means: means[:, 0])
    half = 1.96 * values.std() / 2000**0.5
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=0.15 * half)
    assert found.source == "test samples"


def test_bootstrap_is_seeded_and_collapses_without_variation() -> None:
    values = np.random.default_rng(2).normal(size=(50, 1))
    first, second = (paired_bootstrap(values, lambda means: means[:, 0], resamples=50) for _ in range(2))
    assert first == second
    constant = paired_bootstrap(np.full((50, 1), 0.25), lambda means: means[:, 0], resamples=50)
    assert (constant.low, constant.high) == pytest.approx((0.25, 0.25))
