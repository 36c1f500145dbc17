"""Calibration errors: torchmetrics and naive loops as references, hand numbers, and limits."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from vsmooth.metrics import (
    adaptive_calibration_error,
    classwise_calibration_error,
    confidence_gaps,
    debiased_calibration_error,
    expected_calibration_error,
    reliability_bins,
)


def random_predictions(samples: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    noise = torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    return logits.softmax(1), (logits + 2 * noise).argmax(1)


def two_class(confidence: list[float]) -> Tensor:
    top = torch.tensor(confidence, dtype=torch.float64)
    return torch.stack([top, 1 - top], 1)


def naive_binned_gap(scores: list[float], outcomes: list[bool], bins: int) -> float:
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [i for i, s in enumerate(scores) if low < s <= high or (b == 0 and s == 0)]
        if inside:
            gap = sum(outcomes[i] for i in inside) / len(inside) - sum(scores[i] for i in inside) / len(
                inside
            )
            total += len(inside) / len(scores) * abs(gap)
    return total


@pytest.mark.parametrize("bins", [10, 15])
@pytest.mark.parametrize("classes", [2, 10])
def test_expected_calibration_error_agrees_with_torchmetrics(bins: int, classes: int) -> None:
    probabilities, labels = random_predictions(3000, classes)
    expected = multiclass_calibration_error(
        probabilities, labels, num_classes=classes, n_bins=bins, norm="l1"
    )
    assert expected_calibration_error(probabilities, labels, bins) == pytest.approx(float(expected), abs=1e-6)


def test_expected_calibration_error_by_hand() -> None:
    probabilities = two_class([0.6, 0.6, 0.9, 1.0])
    labels = torch.tensor([0, 1, 0, 1])
    # Two bins: all four in (.5, 1], accuracy 2/4, mean confidence .775.
    assert expected_calibration_error(probabilities, labels, 2) == pytest.approx(0.275)
    # Ten bins: (.5, .6] gap .1 with 2 samples; (.8, .9] gap .1; (.9, 1] gap 1.
    assert expected_calibration_error(probabilities, labels, 10) == pytest.approx((2 * 0.1 + 0.1 + 1.0) / 4)


def test_reliability_bins_by_hand() -> None:
    diagram = reliability_bins(two_class([0.6, 0.7, 1.0]), torch.tensor([0, 1, 0]), bins=5)
    assert torch.allclose(diagram.edges, torch.tensor([0, 0.2, 0.4, 0.6, 0.8, 1.0], dtype=torch.float64))
    assert diagram.counts.tolist() == [0, 0, 1, 1, 1]
    assert diagram.accuracy[2:].tolist() == [1.0, 0.0, 1.0]
    assert diagram.confidence[2:].tolist() == pytest.approx([0.6, 0.7, 1.0])
    assert diagram.accuracy[:2].isnan().all()
    assert diagram.confidence[:2].isnan().all()


def test_reliability_bins_carry_wilson_intervals() -> None:
    from scipy.stats import binomtest

    probabilities, labels = random_predictions(400, 4)
    diagram = reliability_bins(probabilities, labels, level=0.9)
    for b in range(15):
        count = int(diagram.counts[b])
        if count == 0:
            assert diagram.low[b].isnan()
            assert diagram.high[b].isnan()
            continue
        test = binomtest(round(count * float(diagram.accuracy[b])), count)
        expected = test.proportion_ci(confidence_level=0.9, method="wilson")
        assert (float(diagram.low[b]), float(diagram.high[b])) == pytest.approx(tuple(expected))


def test_intervals_at_all_right_and_all_wrong_are_not_empty() -> None:
    diagram = reliability_bins(two_class([0.95, 0.95, 0.75]), torch.tensor([0, 0, 1]), bins=10)
    assert 0.2 < diagram.low[9] < 0.5
    assert diagram.high[9] == 1
    assert diagram.low[7] == 0
    assert 0.7 < diagram.high[7] < 0.9


@pytest.mark.parametrize("level", [0, 1, 95])
def test_bad_levels_are_named(level: float) -> None:
    with pytest.raises(ValueError, match=f"level must lie between 0 and 1, got {level}"):
        reliability_bins(*random_predictions(5, 3), level=level)


def test_confidence_gaps_by_hand() -> None:
    probabilities = two_class([0.6, 0.6, 0.9, 1.0])
    # Ten bins: confidence .6 with accuracy .5 twice; .9 with 1; 1 with 0.
    gaps = confidence_gaps(probabilities, torch.tensor([0, 1, 0, 1]), 10)
    assert gaps.over == pytest.approx((2 * 0.1 + 1.0) / 4)
    assert gaps.under == pytest.approx(0.1 / 4)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_confidence_gaps_sum_to_the_ece_and_differ_by_the_mean_gap(bins: int) -> None:
    probabilities, labels = random_predictions(500, 5)
    gaps = confidence_gaps(probabilities, labels, bins)
    assert gaps.over + gaps.under == pytest.approx(expected_calibration_error(probabilities, labels, bins))
    confidence, predicted = probabilities.max(1)
    assert gaps.over - gaps.under == pytest.approx(float((confidence - (predicted == labels).double()).mean()))


@pytest.mark.parametrize("bins", [10, 15, 40])
def test_debiased_calibration_error_agrees_with_a_loop(bins: int) -> None:
    probabilities, labels = random_predictions(300, 5)
    confidence, predicted = probabilities.max(1)
    squared = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.sum() >= 2:
            correct = (predicted == labels)[inside].double()
            error = (correct.mean() - confidence[inside].mean()) ** 2 - correct.var() / len(correct)
            squared += float(error) * len(correct) / 300
    assert debiased_calibration_error(probabilities, labels, bins) == pytest.approx(max(squared, 0) ** 0.5)


def test_debiased_squared_error_is_unbiased() -> None:
    # Every outcome of five samples of confidence .8 that are right with chance .4: the expected square is .4^2.
    # Two or more right keep each square positive, so the clamp at 0 must be undone where it acts.
    expected, chance = 0.0, 0.4
    for outcome in product([0, 1], repeat=5):
        right = sum(outcome)
        labels = 1 - torch.tensor(outcome)
        probability = chance**right * (1 - chance) ** (5 - right)
        square = debiased_calibration_error(two_class([0.8] * 5), labels) ** 2
        if square == 0:
            share = right / 5
            square = (share - 0.8) ** 2 - share * (1 - share) / 4
        expected += probability * square
    assert expected == pytest.approx((0.8 - chance) ** 2)


def test_debiased_calibration_error_of_a_calibrated_source_is_near_zero() -> None:
    generator = torch.Generator().manual_seed(3)
    probabilities = torch.randn(20_000, 3, generator=generator, dtype=torch.float64).softmax(1)
    plain, debiased = [], []
    for _ in range(20):
        labels = torch.multinomial(probabilities, 1, generator=generator).squeeze(1)
        plain.append(expected_calibration_error(probabilities, labels))
        debiased.append(debiased_calibration_error(probabilities, labels))
    assert sum(value == 0 for value in debiased) >= 4
    assert sum(debiased) < 0.7 * sum(plain)


def test_scores_of_zero_and_one_and_edges_fall_in_closed_bins() -> None:
    # Class-wise bins see a score of exactly 0 and exactly 1; every sample must be counted, none wrongly.
    exact = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    for bins in (2, 10, 15):
        assert reliability_bins(exact, torch.tensor([0, 1]), bins).counts[-1] == 2
        assert classwise_calibration_error(exact, torch.tensor([0, 1]), bins) == 0
        assert classwise_calibration_error(exact, torch.tensor([1, 0]), bins) == 1
    for tenth in range(5, 11):  # an edge belongs to the bin below it
        counts = reliability_bins(two_class([tenth / 10]), torch.tensor([0]), 10).counts
        assert int(counts.argmax()) == tenth - 1


@pytest.mark.parametrize("bins", [1, 7, 15, 500])
def test_adaptive_calibration_error_agrees_with_a_loop(bins: int) -> None:
    probabilities, labels = random_predictions(311, 5)
    rows = sorted((float(p.max()), bool(p.argmax() == y)) for p, y in zip(probabilities, labels, strict=True))
    expected, start = 0.0, 0
    for b in range(bins):
        size = len(rows) // bins + (b < len(rows) % bins)
        run = rows[start : start + size]
        expected += abs(sum(correct - confidence for confidence, correct in run)) / len(rows)
        start += size
    assert adaptive_calibration_error(probabilities, labels, bins) == pytest.approx(expected)


def test_adaptive_calibration_error_shares_ties_that_a_cut_divides() -> None:
    # Three samples of confidence .6, one right: gap 1/3 - .6 each. The cut gives two to the first run, and one with
    # the sample of confidence .9, gap .1, to the second.
    probabilities, labels = two_class([0.6, 0.9, 0.6, 0.6]), torch.tensor([0, 0, 1, 1])
    expected = (2 * (0.6 - 1 / 3) + abs(0.1 + 1 / 3 - 0.6)) / 4
    assert adaptive_calibration_error(probabilities, labels, 2) == pytest.approx(expected)


def test_adaptive_calibration_error_does_not_depend_on_the_order_of_ties() -> None:
    probabilities, labels = random_predictions(200, 4)
    probabilities = (probabilities * 10).round() + 0.1
    probabilities /= probabilities.sum(1, keepdim=True)
    expected = adaptive_calibration_error(probabilities, labels, 6)
    for seed in range(3):
        order = torch.randperm(200, generator=torch.Generator().manual_seed(seed))
        assert adaptive_calibration_error(probabilities[order], labels[order], 6) == pytest.approx(expected)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_classwise_calibration_error_agrees_with_a_loop(bins: int) -> None:
    probabilities, labels = random_predictions(250, 4)
    per_class = [
        naive_binned_gap(probabilities[:, k].tolist(), (labels == k).tolist(), bins) for k in range(4)
    ]
    assert classwise_calibration_error(probabilities, labels, bins) == pytest.approx(sum(per_class) / 4)


def test_a_calibrated_source_tends_to_zero() -> None:
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.randn(200_000, 3, generator=generator, dtype=torch.float64).softmax(1)
    labels = torch.multinomial(probabilities, 1, generator=generator).squeeze(1)
    assert expected_calibration_error(probabilities, labels) < 0.005
    assert adaptive_calibration_error(probabilities, labels) < 0.005
    assert classwise_calibration_error(probabilities, labels) < 0.005


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_a_constant_confidence_gives_its_distance_from_accuracy(bins: int) -> None:
    probabilities = two_class([0.8] * 50)
    labels = (torch.arange(50) % 10 < 7).logical_not().long()  # 70 % right
    assert expected_calibration_error(probabilities, labels, bins) == pytest.approx(0.1)
    assert adaptive_calibration_error(probabilities, labels, bins) == pytest.approx(0.1)
    assert classwise_calibration_error(probabilities, labels, bins) == pytest.approx(0.1)


@pytest.mark.parametrize("bins", [0, -3, 1.5, True])
def test_bad_bins_are_named(bins: int) -> None:
    probabilities, labels = random_predictions(5, 3)
    for metric in (
        expected_calibration_error,
        adaptive_calibration_error,
        classwise_calibration_error,
        debiased_calibration_error,
        confidence_gaps,
        reliability_bins,
    ):
        with pytest.raises(ValueError, match=f"bins must be a whole number of at least 1, got {bins}"):
            metric(probabilities, labels, bins)
