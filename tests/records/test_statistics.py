from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp, ttest_rel

from vsmooth.records.statistics import PairedDifference, Variation, holm, mean_std, paired_difference


def test_mean_std_by_hand() -> None:
    found = mean_std([1.0, 2.0, 6.0])
    assert found.mean == pytest.approx(3.0)
    assert found.std == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2


def test_one_value_has_no_standard_deviation() -> None:
    assert mean_std([0.5]).std is None


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        mean_std([])


def test_paired_difference_by_hand() -> None:
    # differences 1, 1, 2: mean 4/3, standard deviation 1/sqrt(3)
    found = paired_difference([1.0, 2.0, 4.0], [0.0, 1.0, 2.0])
    half = 4.302653 / 3
    assert (found.mean, found.low, found.high) == pytest.approx((4 / 3, 4 / 3 - half, 4 / 3 + half))
    assert found.seeds == 3
    assert not found.distinguishable


def test_paired_difference_against_scipy() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 6))
    interval = ttest_rel(a, b).confidence_interval(0.9)
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


def test_equal_differences_are_no_interval() -> None:
    # Two seeds, one image of 200 in each: a spread of 0 is chance, not certainty.
    found = paired_difference([0.75, 0.75], [0.5, 0.5])
    assert (found.mean, found.low, found.high, found.distinguishable) == (0.25, None, None, False)


def test_the_interval_is_the_wider_one_and_both_must_exclude_a_value() -> None:
    seeds, images = Variation(0.02, 0.001, 2), Variation(0.02, 0.02)
    found = PairedDifference(0.02, (seeds, images), 3)
    assert (found.low, found.high) == pytest.approx(images.bounds(0.95))
    assert found.p_value() == pytest.approx(2 * norm.sf(1))
    assert not found.distinguishable
    assert PairedDifference(0.02, (seeds,), 3).distinguishable
    assert not PairedDifference(0.02, (seeds,), 3, adjusted_p=0.06, comparisons=9).distinguishable
    assert found.p_value(-0.03) == pytest.approx(2 * norm.sf(2.5))


def test_p_values_and_intervals_say_the_same() -> None:
    variation = Variation(0.3, 0.1, 4)
    assert variation.p_value(variation.bounds(0.95)[0]) == pytest.approx(0.05)
    assert variation.p_value(0) == pytest.approx(ttest_1samp_from(0.3, 0.1, 4))


def ttest_1samp_from(mean: float, error: float, degrees: int) -> float:
    values = np.linspace(-1, 1, degrees + 1)
    values *= error * (degrees + 1) ** 0.5 / values.std(ddof=1)
    return float(ttest_1samp(values + mean, 0).pvalue)


def test_holm_by_hand() -> None:
    # Holm (1979): .01 * 4, max(.04, .02 * 3), max(.06, .03 * 2), max(.06, .04 * 1)
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_agrees_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    values = np.random.default_rng(0).uniform(0, 0.05, 20)
    assert holm(values.tolist()) == pytest.approx(multitest.multipletests(values, method="holm")[1])
