"""The bootstrap: every metric against itself on repeated samples, scipy's bootstrap, coverage, bad input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap
from torch import Tensor

from vsmooth.metrics import (
    CALIBRATION_METRICS,
    accuracy,
    adaptive_calibration_error,
    bootstrap_intervals,
    brier_decomposition,
    brier_score,
    classwise_calibration_error,
    confidence_gaps,
    debiased_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
)
from vsmooth.metrics.calibration import weighted_adaptive, weighted_ece
from vsmooth.metrics.weighted import CheckedPredictions, Metric, WeightedPredictions

DIRECT: dict[str, Callable[[Tensor, Tensor], float]] = {
    "accuracy": accuracy,
    "nll": negative_log_likelihood,
    "brier": brier_score,
    "ece": expected_calibration_error,
    "ece_10": partial(expected_calibration_error, bins=10),
    "adaptive_ece": adaptive_calibration_error,
    "classwise_ece": classwise_calibration_error,
    "debiased_ece": debiased_calibration_error,
    "ece_over": lambda p, y: confidence_gaps(p, y).over,
    "ece_under": lambda p, y: confidence_gaps(p, y).under,
    "reliability": lambda p, y: brier_decomposition(p, y).reliability,
    "resolution": lambda p, y: brier_decomposition(p, y).resolution,
    "uncertainty": lambda p, y: brier_decomposition(p, y).uncertainty,
}


def predictions(samples: int, seed: int = 0, sharpness: float = 1.7) -> tuple[Tensor, Tensor]:
    """Logits of a calibrated source, made over-confident by `sharpness`."""
    generator = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(samples, 6, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
    return (sharpness * logits).softmax(1), labels


def test_every_metric_has_a_direct_counterpart() -> None:
    assert DIRECT.keys() == CALIBRATION_METRICS.keys()
    probabilities, labels = predictions(300)
    found = bootstrap_intervals(probabilities, labels, CALIBRATION_METRICS, resamples=40)
    assert list(found) == list(CALIBRATION_METRICS)
    for name, direct in DIRECT.items():
        assert found[name].value == pytest.approx(direct(probabilities, labels), rel=1e-12)


@pytest.mark.parametrize("name", DIRECT)
def test_a_weight_is_worth_as_many_copies_of_the_sample(name: str) -> None:
    probabilities, labels = predictions(120)
    probabilities[:60] = ((probabilities[:60] * 20).round() + 1) / (probabilities[:60] * 20 + 1).round().sum(1)[:, None]
    probabilities[:60] /= probabilities[:60].sum(1, keepdim=True)  # coarse values: many ties, many on edges
    weights = torch.randint(0, 4, (120, 5), generator=torch.Generator().manual_seed(1))
    found = CALIBRATION_METRICS[name](WeightedPredictions(CheckedPredictions(probabilities, labels), weights.double()))
    copies = [(probabilities.repeat_interleave(w, 0), labels.repeat_interleave(w)) for w in weights.T]
    assert found.tolist() == pytest.approx([DIRECT[name](*copy) for copy in copies], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("bins", [1, 7, 64, 1000])
@pytest.mark.parametrize(("weighted", "direct"), [
    (weighted_ece, expected_calibration_error), (weighted_adaptive, adaptive_calibration_error),
])
def test_any_number_of_bins(weighted: Callable[..., Tensor], direct: Callable[..., float], bins: int) -> None:
    probabilities, labels = predictions(50)
    weights = torch.randint(0, 3, (50, 4), generator=torch.Generator().manual_seed(2))
    found = weighted(WeightedPredictions(CheckedPredictions(probabilities, labels), weights.double()), bins)
    for value, w in zip(found.tolist(), weights.T, strict=True):
        expected = direct(probabilities.repeat_interleave(w, 0), labels.repeat_interleave(w), bins)
        assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("method", ["basic", "percentile"])
def test_intervals_agree_with_scipy(method: Literal["basic", "percentile"]) -> None:
    probabilities, labels = predictions(400)
    surprise = -probabilities.gather(1, labels[:, None]).log().squeeze(1).numpy()
    expected = bootstrap((surprise,), np.mean, n_resamples=4000, method=method, rng=0).confidence_interval
    nll: dict[str, Metric] = {"nll": CALIBRATION_METRICS["nll"]}
    found = bootstrap_intervals(probabilities, labels, nll, resamples=4000, method=method)["nll"]
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.05 * width)
    assert found.high == pytest.approx(expected.high, abs=0.05 * width)


def test_the_basic_interval_mirrors_the_percentile_interval() -> None:
    probabilities, labels = predictions(200)
    basic = bootstrap_intervals(probabilities, labels, resamples=50)["brier"]
    percentile = bootstrap_intervals(probabilities, labels, resamples=50, method="percentile")["brier"]
    assert (basic.low, basic.high) == pytest.approx((
        2 * basic.value - percentile.high, 2 * basic.value - percentile.low,
    ))


def test_by_default_only_means_have_an_interval() -> None:
    assert list(bootstrap_intervals(*predictions(50), resamples=40)) == ["accuracy", "nll", "brier"]


def test_the_seed_decides() -> None:
    probabilities, labels = predictions(100)
    first, second, other = (bootstrap_intervals(probabilities, labels, resamples=40, seed=s) for s in (1, 1, 2))
    assert first == second
    assert first != other


def test_a_wider_level_gives_a_wider_interval() -> None:
    probabilities, labels = predictions(100)
    narrow, wide = (bootstrap_intervals(probabilities, labels, resamples=200, level=x)["nll"] for x in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_an_infinite_nll_stays_infinite() -> None:
    probabilities, labels = predictions(50)
    probabilities[0] = torch.eye(6)[0]
    labels[0] = 1
    found = bootstrap_intervals(probabilities, labels, CALIBRATION_METRICS, resamples=100)
    assert found["nll"].value == found["nll"].high == torch.inf
    assert 0 < found["nll"].low < torch.inf  # some resamples do not hold the sample
    assert found["ece"].high < 1


def test_bad_input_is_named() -> None:
    probabilities, labels = predictions(20)
    for resamples in (39, 0, 100.0, True):
        with pytest.raises(ValueError, match=f"a 95% interval needs at least 40 resamples, got {resamples}"):
            bootstrap_intervals(probabilities, labels, resamples=resamples)
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 95"):
        bootstrap_intervals(probabilities, labels, level=95)
    with pytest.raises(ValueError, match="method must be 'basic' or 'percentile', got 'bca'"):
        bootstrap_intervals(probabilities, labels, method="bca")
    with pytest.raises(ValueError, match="20 predictions but 19 labels"):
        bootstrap_intervals(probabilities, labels[1:])
