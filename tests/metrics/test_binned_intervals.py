"""Intervals of calibration errors: coverage near 0 and far from it, hand numbers, limits, bad input."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vsmooth.metrics import (
    BootstrapInterval,
    calibration_error_interval,
    debiased_calibration_error,
    expected_calibration_error,
)
from vsmooth.metrics.binned_intervals import CalibrationError

SEPARATE = {"ece": expected_calibration_error, "debiased_ece": debiased_calibration_error}


def two_class(samples: int, gap: float, seed: int) -> tuple[Tensor, Tensor]:
    """Confidences .55 to .95, one a bin; each is right by `gap` less often, so that ECE and debiased ECE are `gap`."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.tensor([0.55, 0.65, 0.75, 0.85, 0.95], dtype=torch.float64)
    confidence = levels[torch.randint(5, (samples,), generator=generator)]
    wrong = torch.rand(samples, generator=generator, dtype=torch.float64) > confidence - gap
    return torch.stack([confidence, 1 - confidence], 1), wrong.long()


def intervals(samples: int, gap: float, error: CalibrationError, trials: int = 60) -> list[BootstrapInterval]:
    found = (two_class(samples, gap, seed) for seed in range(trials))
    return [calibration_error_interval(*sample, error, bins=10, resamples=200) for sample in found]


@pytest.mark.parametrize("error", ["ece", "debiased_ece"])
@pytest.mark.parametrize(("samples", "gap"), [(500, 0.0), (2000, 0.0), (2000, 0.011), (2000, 0.05), (10_000, 0.01)])
def test_the_truth_is_covered_near_calibration_too(samples: int, gap: float, error: CalibrationError) -> None:
    found = intervals(samples, gap, error)
    # 95 % of 60 is 57; 52 lies three standard deviations below.
    assert sum(one.low - 1e-12 <= gap <= one.high for one in found) >= 52
    assert all(one.low < one.high for one in found)


@pytest.mark.parametrize("error", ["ece", "debiased_ece"])
def test_far_from_zero_it_is_the_normal_interval(error: CalibrationError) -> None:
    # One bin, 2,000 samples: |gap| has a standard error of sqrt(.25 / 2000).
    probabilities = torch.tensor([[0.8, 0.2]], dtype=torch.float64).expand(2000, 2)
    labels = (torch.arange(2000) % 2).long()
    found = calibration_error_interval(probabilities, labels, error, resamples=20_000)
    assert (found.low, found.high) == pytest.approx((0.3 - 1.96 * 0.01118, 0.3 + 1.96 * 0.01118), abs=1e-3)


@pytest.mark.parametrize("error", SEPARATE)
def test_the_value_is_that_of_the_error_and_the_seed_decides(error: CalibrationError) -> None:
    sample = two_class(300, 0.03, 0)
    first, second = (calibration_error_interval(*sample, error, resamples=100) for _ in range(2))
    assert first == second
    assert first != calibration_error_interval(*sample, error, resamples=100, seed=1)
    assert first.value == pytest.approx(SEPARATE[error](*sample))
    narrow = calibration_error_interval(*sample, error, resamples=100, level=0.5)
    assert first.low <= narrow.low < narrow.high <= first.high


@pytest.mark.parametrize("samples", [1, 2, 20])
def test_few_samples_and_certain_networks_have_an_interval(samples: int) -> None:
    certain = torch.eye(3, dtype=torch.float64)[torch.zeros(samples, dtype=torch.long)]
    for error in SEPARATE:
        found = calibration_error_interval(certain, torch.zeros(samples, dtype=torch.long), error, resamples=40)
        assert 0 <= found.low <= found.high <= 1


def test_bad_input_is_named() -> None:
    sample = two_class(20, 0.0, 0)
    with pytest.raises(ValueError, match="a 95% interval needs at least 40 resamples, got 39"):
        calibration_error_interval(*sample, resamples=39)
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 95"):
        calibration_error_interval(*sample, level=95)
    with pytest.raises(ValueError, match="error must be one of ece, debiased_ece, got 'mce'"):
        calibration_error_interval(*sample, error="mce")
