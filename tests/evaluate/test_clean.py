"""The clean numbers: each field against its definition."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from vsmooth.evaluate import Predictions, evaluate_clean


def test_by_hand() -> None:
    logits = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.3, 0.7], [0.8, 0.2]]).log()
    metrics = evaluate_clean(Predictions(logits, torch.tensor([0, 1, 1, 1])))
    assert metrics.accuracy == 0.5
    assert metrics.samples == 4
    assert metrics.top5 is None
    assert metrics.nll == pytest.approx(-math.log(0.8 * 0.2 * 0.7 * 0.2) / 4)
    assert metrics.brier == pytest.approx((0.08 + 1.28 + 0.18 + 1.28) / 4)
    assert metrics.mean_confidence == pytest.approx(3.1 / 4)
    assert metrics.overconfidence == pytest.approx(3.1 / 4 - 0.5)
    # The confidences .8 (1 of 3 right) and .7 (right) fall in different bins, of 10 and of 15.
    assert metrics.ece == pytest.approx((3 * (0.8 - 1 / 3) + 0.3) / 4, abs=1e-6)
    assert metrics.ece_10 == pytest.approx(metrics.ece)


def test_against_torchmetrics_with_ten_classes() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(1000, 10, generator=generator)
    labels = torch.randint(0, 10, (1000,), generator=generator)
    metrics = evaluate_clean(Predictions(logits, labels))
    for value, bins in ((metrics.ece, 15), (metrics.ece_10, 10)):
        reference = multiclass_calibration_error(logits.softmax(1), labels, num_classes=10, n_bins=bins)
        assert value == pytest.approx(float(reference), abs=1e-5)
    top5 = (logits.topk(5).indices == labels[:, None]).any(1).float().mean()
    assert metrics.top5 == pytest.approx(float(top5))
    assert metrics.overconfidence > 0.5


def test_under_confidence_is_negative() -> None:
    predictions = Predictions(torch.eye(6), torch.arange(6))
    assert evaluate_clean(predictions).overconfidence < 0


def test_extreme_logits_stay_finite() -> None:
    metrics = evaluate_clean(Predictions(torch.tensor([[2000.0, 0.0], [0.0, 2000.0]]), torch.tensor([1, 1])))
    assert metrics.nll == pytest.approx(1000.0)
    assert all(math.isfinite(value) for value in asdict(metrics).values() if value is not None)
