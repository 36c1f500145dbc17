from __future__ import annotations

import numpy as np
import pytest
import torch

from vsmooth.metrics import reliability_bins as metric_bins
from vsmooth.records.outcomes import bin_index, outcomes
from vsmooth.report.comparison.reliability import pool, reliability_bins


def test_outcomes_by_hand() -> None:
    found = outcomes(np.log([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]]), [0, 2])
    assert found.confidence == pytest.approx([0.7, 0.6])
    assert found.correct.tolist() == [True, False]
    assert found.nll == pytest.approx(-np.log([0.7, 0.1]))


def test_large_logits_do_not_overflow() -> None:
    found = outcomes([[5000.0, 0.0]], [1])
    assert found.confidence == pytest.approx([1.0])
    assert found.nll == pytest.approx([5000.0])


def test_bins_are_open_on_the_left() -> None:
    assert bin_index(np.array([0.0, 0.2, 0.200001, 1.0]), bins=5).tolist() == [0, 0, 1, 4]


def test_bins_by_hand() -> None:
    found = pool([outcomes(np.log([[0.9, 0.1], [0.8, 0.2]]), [0, 1]), outcomes(np.log([[0.4, 0.6]]), [1])])
    bins = reliability_bins(found, bins=4)
    assert bins.counts.tolist() == [0, 0, 1, 2]
    assert bins.accuracy[2:] == pytest.approx([1.0, 0.5])
    assert bins.confidence[2:] == pytest.approx([0.6, 0.85])
    assert np.isnan(bins.accuracy[:2]).all()


def test_bins_are_those_of_the_metrics() -> None:
    rng = np.random.default_rng(1)
    logits, labels = 2 * rng.normal(size=(400, 5)), rng.integers(0, 5, 400)
    ours = reliability_bins(outcomes(logits, labels), bins=10, level=0.9)
    theirs = metric_bins(torch.tensor(logits).softmax(1), torch.tensor(labels), bins=10, level=0.9)
    for field in ("edges", "counts", "accuracy", "confidence", "low", "high"):
        np.testing.assert_allclose(getattr(ours, field), getattr(theirs, field).numpy())


def test_ece_from_bins_against_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(0)
    logits, labels = 2 * rng.normal(size=(400, 5)), rng.integers(0, 5, 400)
    bins = reliability_bins(outcomes(logits, labels))
    ece = (np.nan_to_num(np.abs(bins.accuracy - bins.confidence)) * bins.counts).sum() / 400
    reference = functional.multiclass_calibration_error(
        torch.tensor(logits).softmax(1), torch.tensor(labels), num_classes=5, n_bins=15
    )
    assert ece == pytest.approx(float(reference), abs=1e-6)
