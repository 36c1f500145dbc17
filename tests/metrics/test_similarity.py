"""Similarity from logits and templates: hand numbers, loops, limits, invariances and bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor

from vsmooth.metrics import class_similarity, mean_confusion, pair_values, template_cosine, wrong_logit_spread


def random_logits(samples: int = 200, classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (samples,), generator=generator)
    return 3 * torch.randn(samples, classes, generator=generator, dtype=torch.float64), labels


def test_spread_by_hand() -> None:
    # One class; the wrong logits about their mean are (-1, 1) and (1, -1): within a class only.
    only_within = wrong_logit_spread(torch.tensor([[5.0, 0, 2], [5.0, 2, 0]]), torch.tensor([0, 0]))
    assert (only_within.total, only_within.within, only_within.across) == pytest.approx((1, 1, 0))
    assert only_within.gap == pytest.approx(4)
    assert only_within.relative == pytest.approx(1 / 4)
    # The same wrong class is ahead in both samples: across the classes only.
    only_across = wrong_logit_spread(torch.tensor([[5.0, 0, 2], [9.0, 0, 2]]), torch.tensor([0, 0]))
    assert (only_across.total, only_across.within, only_across.across) == pytest.approx((1, 0, 1))


def test_spread_agrees_with_a_loop() -> None:
    logits, labels = random_logits()
    totals, acrosses, gaps = [], [], []
    for label in range(5):
        rows = [np.delete(z, label) - np.delete(z, label).mean() for z in logits[labels == label].numpy()]
        totals.append(np.mean(np.square(rows)))
        acrosses.append(np.mean(np.square(np.mean(rows, axis=0))))
        gaps += [z[label] - np.delete(z, label).mean() for z in logits[labels == label].numpy()]
    found = wrong_logit_spread(logits, labels)
    assert found.total == pytest.approx(math.sqrt(np.mean(totals)))
    assert found.across == pytest.approx(math.sqrt(np.mean(acrosses)))
    assert found.within == pytest.approx(math.sqrt(np.mean(totals) - np.mean(acrosses)))
    assert found.gap == pytest.approx(np.mean(gaps))


def test_spread_ignores_the_correct_logit_and_shifts_of_a_sample() -> None:
    logits, labels = random_logits()
    shifted = logits + torch.randn(len(logits), 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    before, after = wrong_logit_spread(logits, labels), wrong_logit_spread(shifted, labels)
    assert after.within == pytest.approx(before.within)
    assert after.gap == pytest.approx(before.gap)
    raised = logits.scatter_add(1, labels[:, None], torch.full((len(logits), 1), 7.0, dtype=torch.float64))
    assert wrong_logit_spread(raised, labels).total == pytest.approx(before.total)
    assert wrong_logit_spread(raised, labels).gap == pytest.approx(before.gap + 7)
    assert wrong_logit_spread(2 * logits, labels).relative == pytest.approx(before.relative)


def test_equal_wrong_logits_have_no_spread_and_uniform_similarity() -> None:
    labels = torch.arange(4)
    logits = 6 * torch.eye(4) - 2
    found = wrong_logit_spread(logits, labels)
    assert (found.within, found.across, found.total) == (0, 0, 0)
    expected = (1 - torch.eye(4, dtype=torch.float64)) / 3
    torch.testing.assert_close(class_similarity(logits, labels), expected)


def test_class_similarity_is_the_renormalised_softmax() -> None:
    logits, labels = random_logits()
    soft = logits.softmax(1).numpy()
    for label in range(5):
        rows = soft[(labels == label).numpy()]
        rows[:, label] = 0
        expected = (rows / rows.sum(axis=1, keepdims=True)).mean(axis=0)
        assert class_similarity(logits, labels)[label].numpy() == pytest.approx(expected)


def test_class_similarity_where_the_softmax_underflows() -> None:
    confident = torch.tensor([[1e4, 0.0, math.log(3)]], dtype=torch.float64)
    assert class_similarity(confident, torch.tensor([0]))[0].tolist() == pytest.approx([0, 0.25, 0.75])


def test_a_class_without_samples_is_nan_and_does_not_count() -> None:
    logits, labels = random_logits()
    kept = labels != 3
    assert class_similarity(logits[kept], labels[kept]).isnan().all(1).tolist() == [False, False, False, True, False]
    assert math.isfinite(wrong_logit_spread(logits[kept], labels[kept]).total)


def test_mean_confusion_by_hand() -> None:
    probabilities = torch.tensor([[0.5, 0.5, 0], [0.7, 0.1, 0.2], [0, 0, 1.0]], dtype=torch.float64)
    found = mean_confusion(probabilities, torch.tensor([0, 0, 2]))
    assert found[0].tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert found[1].isnan().all()
    assert found[2].tolist() == [0, 0, 1]


def test_template_cosine_agrees_with_scikit_learn_about_the_mean() -> None:
    templates = torch.randn(6, 9, generator=torch.Generator().manual_seed(2))
    expected = cosine_similarity((templates - templates.mean(0)).double().numpy())
    assert template_cosine(templates).numpy() == pytest.approx(expected, abs=1e-6)
    moved = template_cosine(templates.double() + torch.arange(9))
    torch.testing.assert_close(moved, template_cosine(templates.double()))


def test_templates_of_a_simplex_have_equal_cosines() -> None:
    found = template_cosine(5 * torch.eye(4))
    assert pair_values(found).tolist() == pytest.approx([-1 / 3] * 6)


def test_pair_values_are_the_symmetric_upper_triangle() -> None:
    matrix = torch.tensor([[9.0, 1, 2], [3, 9, 4], [6, 8, 9]])
    assert pair_values(matrix).tolist() == [2, 4, 6]
    with pytest.raises(ValueError, match=r"must be square, got shape \(2, 3\)"):
        pair_values(matrix[:2])


@pytest.mark.parametrize("metric", [wrong_logit_spread, class_similarity])
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.tensor([[0.0, 1, 2], [0, float("nan"), 1]]), [0, 0], "logits of sample 1 hold NaN or Inf"),
        (torch.tensor([[0.0, float("inf"), 2]]), [0], "logits of sample 0 hold NaN or Inf"),
        (torch.zeros(2, 1), [0, 0], r"logits have 1 class\(es\); this needs at least 3"),
        (torch.zeros(2, 2), [0, 0], r"logits have 2 class\(es\); this needs at least 3"),
        (torch.zeros(2, 3), [0], "2 predictions but 1 labels"),
        (torch.zeros(2, 3), [0, 3], r"label 3 at index 1 is outside 0\.\.2"),
        (torch.zeros(0, 3), [], r"N >= 1, got \(0, 3\)"),
        (torch.zeros(2, 3, dtype=torch.long), [0, 0], "floating point .* of torch.int64"),
    ],
)
def test_bad_logits_are_named(metric: object, logits: Tensor, labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(logits, torch.tensor(labels, dtype=torch.long))  # type: ignore[operator]


def test_bad_templates_are_named() -> None:
    with pytest.raises(ValueError, match="templates: got 2, this needs at least 3"):
        template_cosine(torch.eye(2))
    with pytest.raises(ValueError, match="templates: row 1 holds NaN or Inf"):
        template_cosine(torch.tensor([[0.0, 1], [float("nan"), 1], [1, 1]]))
    with pytest.raises(ValueError, match="equals the mean of all"):
        template_cosine(torch.ones(3, 2))
