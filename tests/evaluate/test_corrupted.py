"""Evaluation under shift: the rows against a direct evaluation, the same noise for every model, bad input."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vsmooth.data.corruptions import corrupt, list_corruptions
from vsmooth.evaluate import evaluate_clean, evaluate_corrupted, predict

Pairs = list[tuple[Tensor, Tensor]]


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))


def split(sizes: tuple[int, ...] = (5, 5, 3)) -> Callable[[], Pairs]:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.rand(13, 1, 8, 8, generator=generator), torch.randint(0, 4, (13,), generator=generator)
    return lambda: list(zip(images.split(sizes), labels.split(sizes), strict=True))


def test_rows_are_the_clean_ones_first_then_each_corruption_and_severity() -> None:
    rows = list(evaluate_corrupted(model(), split(), severities=(1, 5)))
    expected = [(name, severity) for name in list_corruptions() for severity in (1, 5)]
    assert [(row.corruption, row.severity) for row in rows] == [("none", 0), *expected]
    clean = evaluate_clean(predict(model(), split()()))
    assert (rows[0].accuracy, rows[0].ece, rows[0].nll) == (clean.accuracy, clean.ece, clean.nll)
    assert all(row.samples == 13 for row in rows)


def test_a_row_is_a_direct_evaluation_of_the_corrupted_split() -> None:
    (_, row) = evaluate_corrupted(model(), split(), corruptions=["shot-noise"], severities=[4], seed=3)
    images, labels = (torch.cat(part) for part in zip(*split()(), strict=True))
    expected = evaluate_clean(predict(model(), [(corrupt(images, "shot-noise", 4, seed=3), labels)]))
    assert (row.accuracy, row.ece, row.nll) == pytest.approx((expected.accuracy, expected.ece, expected.nll))
    assert row.mean_confidence == pytest.approx(expected.mean_confidence)


def test_the_noise_does_not_depend_on_the_batch_size_but_on_the_seed() -> None:
    def nll(sizes: tuple[int, ...], seed: int) -> float:
        (_, row) = evaluate_corrupted(model(), split(sizes), corruptions=["gaussian-noise"], severities=[5], seed=seed)
        return row.nll

    assert nll((13,), 0) == pytest.approx(nll((1, 8, 4), 0))
    assert nll((13,), 0) != pytest.approx(nll((13,), 1))


def test_bad_input_is_named_before_any_work() -> None:
    def untouched() -> Pairs:
        raise AssertionError("the split was read")

    with pytest.raises(ValueError, match=r"unknown corruption 'snow': .*choose from gaussian-noise"):
        evaluate_corrupted(model(), untouched, corruptions=["snow"])
    with pytest.raises(ValueError, match="severity must be 1, 2, 3, 4 or 5, got 0"):
        evaluate_corrupted(model(), untouched, severities=[0])
    with pytest.raises(ValueError, match="no batches to predict"):
        list(evaluate_corrupted(model(), list))
