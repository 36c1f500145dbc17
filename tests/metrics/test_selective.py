"""Risk and coverage: hand numbers, scikit-learn, ties, limits and mistakes."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vsmooth.metrics.selective import misclassification_auroc, risk_coverage, selective_metrics


def test_by_hand() -> None:
    curve = risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 1 / 3, 1 / 2])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    assert curve.area == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert curve.excess_area == pytest.approx(curve.area - (1 / 3 + 1 / 2) / 4)  # best: right, right, wrong, wrong
    assert curve.accuracy_at(0.5) == 0.5
    assert misclassification_auroc([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == 3 / 4


def test_ties_are_the_mean_over_all_orders() -> None:
    confidence, correct = np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, False])
    risks = []
    for order in permutations([1, 2, 3]):
        wrong = ~correct[[0, *order]]
        risks.append(wrong.cumsum() / np.arange(1, 5))
    np.testing.assert_allclose(risk_coverage(confidence, correct).risk, np.mean(risks, axis=0))


def test_the_order_of_the_images_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    confidence, correct = generator.random(200).round(1), generator.random(200) < 0.8
    shuffled = generator.permutation(200)
    assert selective_metrics(confidence, correct) == pytest.approx(
        selective_metrics(confidence[shuffled], correct[shuffled])
    )
    assert misclassification_auroc(confidence, correct) == pytest.approx(roc_auc_score(correct, confidence))


def test_limits() -> None:
    correct = np.array([True] * 8 + [False] * 2)
    constant = selective_metrics(np.ones(10), correct)
    assert constant["aurc"] == pytest.approx(0.2)
    assert constant["misclassification_auroc"] == 0.5
    assert constant["accuracy_at_0.9"] == pytest.approx(0.8)
    best = selective_metrics(np.arange(10, 0, -1), correct)
    assert best["excess_aurc"] == pytest.approx(0, abs=1e-12)
    assert (best["misclassification_auroc"], best["accuracy_at_0.8"]) == (1, 1)
    assert math.isnan(misclassification_auroc([0.1, 0.2], [1, 1]))


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([], [], r"must be \(N,\), N >= 1"),
        ([0.5], [1, 0], r"got \(1,\) and \(2,\)"),
        ([0.5, float("nan")], [1, 0], "1 of 2 confidences are NaN"),
    ],
)
def test_mistakes(confidence: list[float], correct: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        selective_metrics(confidence, correct)
    with pytest.raises(ValueError, match="coverage must be above 0 and at most 1, got 0"):
        risk_coverage([0.5], [1]).accuracy_at(0)
