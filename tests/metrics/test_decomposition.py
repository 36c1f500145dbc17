"""The Brier decomposition: scikit-learn's score, the terms' definitions as loops, hand numbers, limits."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import brier_score_loss
from torch import Tensor

from vsmooth.metrics import brier_decomposition, brier_score


def random_predictions(samples: int, classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(samples)
    logits = 2 * torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    noise = torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    return logits.softmax(1), (logits + 2 * noise).argmax(1)


@pytest.mark.parametrize("bins", [1, 7, 15])
@pytest.mark.parametrize("classes", [2, 6])
def test_the_parts_add_up_to_the_brier_score(bins: int, classes: int) -> None:
    probabilities, labels = random_predictions(400, classes)
    parts = brier_decomposition(probabilities, labels, bins)
    reference = brier_score_loss(labels.numpy(), probabilities.numpy(), labels=range(classes), scale_by_half=False)
    assert parts.brier == pytest.approx(float(reference), rel=1e-12)
    assert parts.brier == pytest.approx(brier_score(probabilities, labels), rel=1e-12)


def test_each_part_agrees_with_its_definition() -> None:
    probabilities, labels = random_predictions(300, 4)
    bins, expected = 10, dict.fromkeys(("rel", "res", "unc", "variance", "covariance"), 0.0)
    for k in range(4):
        scores, events = probabilities[:, k], (labels == k).double()
        expected["unc"] += float(events.mean() * (1 - events.mean()))
        for b in range(bins):
            inside = (scores > b / bins) & (scores <= (b + 1) / bins)
            if not inside.any():
                continue
            f, o = scores[inside], events[inside]
            share = len(f) / 300
            expected["rel"] += share * float((f.mean() - o.mean()) ** 2)
            expected["res"] += share * float((o.mean() - events.mean()) ** 2)
            expected["variance"] += share * float(f.var(correction=0))
            expected["covariance"] += share * 2 * float(((f - f.mean()) * (o - o.mean())).mean())
    parts = brier_decomposition(probabilities, labels, bins)
    found = (
        parts.reliability, parts.resolution, parts.uncertainty, parts.within_bin_variance, parts.within_bin_covariance,
    )
    assert found == pytest.approx(tuple(expected.values()))


def test_by_hand() -> None:
    probabilities = torch.tensor([[0.8, 0.2]] * 4 + [[0.3, 0.7]] * 4, dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 0, 1, 1, 1])
    parts = brier_decomposition(probabilities, labels, 10)
    # Each class: frequencies .75 and .25 in two bins of four around a half; gaps .05 and .05.
    assert parts.reliability == pytest.approx(2 * 0.05**2)
    assert parts.resolution == pytest.approx(2 * 0.25**2)
    assert parts.uncertainty == pytest.approx(2 * 0.25)


def test_of_probabilities_with_one_value_in_each_bin_nothing_lies_within_the_bins() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.tensor([0.05, 0.35, 0.65, 0.95], dtype=torch.float64)[torch.randint(4, (500,), generator=generator)]
    probabilities = torch.stack([first, 1 - first], 1)
    labels = torch.randint(2, (500,), generator=generator)
    parts = brier_decomposition(probabilities, labels, 10)
    assert parts.within_bin_variance == pytest.approx(0, abs=1e-12)
    assert parts.within_bin_covariance == pytest.approx(0, abs=1e-12)
    assert parts.reliability - parts.resolution + parts.uncertainty == pytest.approx(brier_score(probabilities, labels))


def test_limits() -> None:
    labels = torch.arange(30) % 3
    uniform = brier_decomposition(torch.full((30, 3), 1 / 3), labels)
    assert (uniform.resolution, uniform.reliability) == pytest.approx((0, 0), abs=1e-12)
    perfect = brier_decomposition(torch.eye(3)[labels], labels)
    assert perfect.brier == pytest.approx(0, abs=1e-12)
    assert perfect.resolution == pytest.approx(perfect.uncertainty)


def test_bad_input_is_named() -> None:
    probabilities, labels = random_predictions(5, 3)
    with pytest.raises(ValueError, match="bins must be a whole number"):
        brier_decomposition(probabilities, labels, 0)
    with pytest.raises(ValueError, match="probabilities must lie in"):
        brier_decomposition(probabilities * torch.nan, labels)
