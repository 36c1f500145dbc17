"""Normalised label smoothing probabilities: the smoothing target, hand numbers, order, bad input."""

from __future__ import annotations

import pytest
import torch

from vsmooth import LabelSmoothing
from vsmooth.metrics import normalised_label_smoothing_probabilities


def test_by_hand() -> None:
    found = normalised_label_smoothing_probabilities(torch.tensor([[0.6, 0.3, 0.1]]))
    assert found[0].tolist() == pytest.approx([5 / 7, 2 / 7, 0], abs=1e-7)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_the_smoothing_target_becomes_one_hot(alpha: float) -> None:
    target = LabelSmoothing(alpha).encode(torch.tensor([2, 0]), 4)
    expected = torch.eye(4, dtype=torch.float64)[[2, 0]]
    assert torch.allclose(normalised_label_smoothing_probabilities(target), expected, atol=1e-6)


def test_rows_sum_to_one_and_keep_their_order() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(200, 6, generator=generator, dtype=torch.float64).softmax(1)
    found = normalised_label_smoothing_probabilities(probabilities)
    assert torch.allclose(found.sum(1), torch.ones(200, dtype=torch.float64))
    assert (found.amin(1) == 0).all()
    assert torch.equal(found.argsort(1), probabilities.argsort(1))
    assert torch.allclose(normalised_label_smoothing_probabilities(found), found)


def test_a_uniform_row_stays_uniform() -> None:
    assert normalised_label_smoothing_probabilities(torch.full((1, 4), 0.25))[0].tolist() == [0.25] * 4


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\]"):
        normalised_label_smoothing_probabilities(torch.tensor([[2.0, -1.0]]))
