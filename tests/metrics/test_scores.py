"""Accuracy and proper scores: hand numbers, limits, scikit-learn and torch as references, and bad input."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss, top_k_accuracy_score
from torch import Tensor
from torch.nn.functional import cross_entropy

from vsmooth.metrics import (
    accuracy,
    adaptive_calibration_error,
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    reliability_bins,
    top_k_accuracy,
)

HAND = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.25, 0.25]], dtype=torch.float64)
HAND_LABELS = torch.tensor([0, 1, 2])

METRICS: list[Callable[[Tensor, Tensor], object]] = [
    accuracy,
    negative_log_likelihood,
    brier_score,
    expected_calibration_error,
    adaptive_calibration_error,
    classwise_calibration_error,
    reliability_bins,
]


def random_predictions(samples: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, classes, (samples,), generator=generator)


def test_hand_numbers() -> None:
    assert accuracy(HAND, HAND_LABELS) == pytest.approx(1 / 3)
    assert top_k_accuracy(HAND, HAND_LABELS, 2) == pytest.approx(2 / 3)
    assert negative_log_likelihood(HAND, HAND_LABELS) == pytest.approx(-math.log(0.7 * 0.3 * 0.25) / 3)
    squares = [0.09 + 0.04 + 0.01, 0.01 + 0.49 + 0.36, 0.25 + 0.0625 + 0.5625]
    assert brier_score(HAND, HAND_LABELS) == pytest.approx(sum(squares) / 3)


def test_agrees_with_scikit_learn_and_torch() -> None:
    logits, labels = random_predictions(400, 10)
    probabilities = logits.softmax(1)
    classes = list(range(10))
    for k in (1, 2, 5):
        expected = top_k_accuracy_score(labels, probabilities.numpy(), k=k, labels=classes)
        assert top_k_accuracy(probabilities, labels, k) == pytest.approx(expected)
    nll = negative_log_likelihood(probabilities, labels)
    assert nll == pytest.approx(log_loss(labels, probabilities.numpy(), labels=classes))
    assert nll == pytest.approx(float(cross_entropy(logits, labels)))
    brier = brier_score_loss(labels, probabilities.numpy(), labels=classes, scale_by_half=False)
    assert brier_score(probabilities, labels) == pytest.approx(brier)


def test_limits() -> None:
    labels = torch.tensor([0, 1, 2, 3])
    uniform, perfect = torch.full((4, 4), 0.25), torch.eye(4)
    assert negative_log_likelihood(uniform, labels) == pytest.approx(math.log(4))
    assert brier_score(uniform, labels) == pytest.approx(1 - 1 / 4)
    assert accuracy(uniform, labels) == 0.25  # ties go to class 0
    assert top_k_accuracy(uniform, labels, 2) == 0.5
    assert top_k_accuracy(uniform, labels, 4) == 1.0
    assert (negative_log_likelihood(perfect, labels), brier_score(perfect, labels)) == (0.0, 0.0)
    assert brier_score(perfect.flip(0), labels) == 2.0
    assert negative_log_likelihood(perfect.flip(0), labels) == math.inf


def test_half_precision_softmax_is_accepted() -> None:
    logits, labels = random_predictions(200, 100)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert math.isfinite(brier_score(logits.to(dtype).softmax(1), labels))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (torch.tensor([[0.5, float("nan")]]), [0], r"must lie in \[0, 1\], got nan"),
        (torch.tensor([[3.0, -2.0]]), [0], r"must lie in \[0, 1\], got -2 to 3; pass softmax\(logits\)"),
        (torch.tensor([[0.5, 0.5], [0.5, 0.4]]), [0, 1], "sample 1 sum to 0.9, not to 1"),
        (torch.tensor([[0.5, 0.5]]), [2], r"label 2 at index 0 is outside 0\.\.1"),
        (torch.tensor([[0.5, 0.5]]), [-1], r"label -1 at index 0 is outside 0\.\.1"),
        (torch.tensor([[0.5, 0.5]]), [0, 1], "1 predictions but 2 labels"),
        (torch.tensor([[0.5, 0.5]]), [0.0], "class indices, got shape .* of torch.float32"),
        (torch.tensor([[1.0]]), [0], r"2 classes, got shape \(1, 1\)"),
        (torch.zeros(0, 3), [], r"at least 1 sample and 2 classes, got shape \(0, 3\)"),
        (torch.tensor([0.5, 0.5]), [0], r"got shape \(2,\)"),
        (torch.tensor([[1, 0]]), [0], "floating point .* of torch.int64"),
    ],
)
def test_bad_input_is_named(
    metric: Callable[[Tensor, Tensor], object], probabilities: Tensor, labels: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric(probabilities, torch.tensor(labels))


@pytest.mark.parametrize("k", [0, 4])
def test_k_outside_the_classes_is_named(k: int) -> None:
    with pytest.raises(ValueError, match=rf"k must be in 1\.\.3 \(the number of classes\), got {k}"):
        top_k_accuracy(HAND, HAND_LABELS, k)
