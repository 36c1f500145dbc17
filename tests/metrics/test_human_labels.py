"""Agreement with people: scipy as the reference, hand numbers, ties, bad input, and CIFAR-10H where it is."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from scipy.stats import spearmanr
from torch import Tensor

from vsmooth.metrics import (
    check_agreement,
    human_confusion,
    human_distributions,
    human_divergence,
    image_rank_correlation,
    pair_rank_correlation,
    pair_values,
)

SHARED = Path(os.environ.get("VSMOOTH_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")


def votes_and_logits(samples: int = 60, classes: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    votes = torch.randint(0, 4, (samples, classes), generator=generator)  # few levels: many ties
    labels = torch.randint(0, classes, (samples,), generator=generator)
    votes[torch.arange(samples), labels] += 20
    return votes, torch.randn(samples, classes, generator=generator, dtype=torch.float64), labels


def test_counts_and_probabilities_give_the_same() -> None:
    votes, logits, _ = votes_and_logits()
    shares = votes / votes.sum(1, keepdim=True)
    torch.testing.assert_close(human_distributions(votes, 60, 6), shares.double(), atol=1e-7, rtol=0)
    torch.testing.assert_close(human_divergence(logits, votes), human_divergence(logits, shares.double()))


def test_divergence_agrees_with_scipy() -> None:
    votes, logits, _ = votes_and_logits()
    shares = (votes / votes.sum(1, keepdim=True)).double().numpy()
    expected = rel_entr(shares, logits.softmax(1).numpy()).sum(axis=1)
    assert human_divergence(logits, votes).numpy() == pytest.approx(expected, abs=1e-6)


def test_divergence_limits() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    assert human_divergence(logits, logits.softmax(1)).tolist() == pytest.approx([0])
    one_vote = torch.tensor([[0, 7, 0]])
    assert human_divergence(logits, one_vote).tolist() == pytest.approx([-float(logits.log_softmax(1)[0, 1])])
    # The softmax of class 1 underflows to 0; its logarithm does not.
    assert human_divergence(torch.tensor([[2000.0, 0, 0]]), one_vote).tolist() == [2000]


def test_image_ranks_agree_with_scipy_over_the_wrong_classes() -> None:
    votes, logits, labels = votes_and_logits()
    found = image_rank_correlation(logits, votes, labels)
    for row in range(60):
        wrong = np.delete(np.arange(6), labels[row])
        expected = spearmanr(logits[row, wrong], votes[row, wrong]).statistic
        assert float(found[row]) == pytest.approx(expected, nan_ok=True)


def test_image_ranks_by_hand_and_where_no_one_erred() -> None:
    votes = torch.tensor([[40, 6, 3, 1], [40, 6, 3, 1], [50, 0, 0, 0]])
    logits = torch.tensor([[0.0, 3, 2, 1], [9.0, 1, 2, 3], [9.0, 1, 2, 3]])
    found = image_rank_correlation(logits, votes, torch.zeros(3, dtype=torch.long))
    assert found[:2].tolist() == pytest.approx([1, -1])
    assert math.isnan(found[2])


def test_human_confusion_by_hand() -> None:
    votes = torch.tensor([[8, 2, 0], [6, 2, 2], [0, 10, 0], [1, 1, 8]])
    found = human_confusion(votes, torch.tensor([0, 0, 1, 2]))
    # Class 0: mean (.7, .2, .1), so 2 : 1 among the wrong; class 1: no one erred.
    assert found.tolist() == [pytest.approx([0, 2 / 3, 1 / 3]), [0, 0, 0], pytest.approx([0.5, 0.5, 0])]


def test_pair_ranks_agree_with_scipy() -> None:
    first, second = (torch.rand(7, 7, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    expected = spearmanr(pair_values(first), pair_values(second)).statistic
    assert pair_rank_correlation(first, second) == pytest.approx(expected)
    assert pair_rank_correlation(first, first.T) == pytest.approx(1)  # order within a pair does not matter
    assert pair_rank_correlation(first, -first) == pytest.approx(-1)


def test_pairs_of_absent_classes_are_left_out() -> None:
    first, second = (torch.rand(6, 6, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    expected = pair_rank_correlation(first[1:, 1:], second[1:, 1:])
    first[0] = float("nan")
    assert pair_rank_correlation(first, second) == pytest.approx(expected)


def test_bad_input_is_named() -> None:
    votes, logits, labels = votes_and_logits()
    with pytest.raises(ValueError, match=r"human labels are \(59, 6\) but the predictions are \(60, 6\): row i"):
        human_divergence(logits, votes[:-1])
    with pytest.raises(ValueError, match=r"human labels are \(60, 5\) but"):
        image_rank_correlation(logits, votes[:, 1:], labels)
    with pytest.raises(ValueError, match="human labels of image 3 are no counts"):
        human_divergence(logits, votes.index_fill(0, torch.tensor(3), 0))
    with pytest.raises(ValueError, match="human labels of image 0 are no counts"):
        human_confusion(-votes, labels)
    with pytest.raises(ValueError, match="logits of sample 2 hold NaN or Inf"):
        human_divergence(logits.index_fill(0, torch.tensor(2), float("nan")), votes)
    with pytest.raises(ValueError, match=r"\(N, K\) counts or probabilities, got shape \(60,\)"):
        human_divergence(logits, votes[:, 0])
    with pytest.raises(ValueError, match=r"logits have 2 class\(es\); this needs at least 3"):
        image_rank_correlation(logits[:, :2], votes[:, :2], labels.clamp(max=1))
    with pytest.raises(ValueError, match=r"one shape, got \(3, 3\) and \(4, 4\)"):
        pair_rank_correlation(torch.eye(3), torch.eye(4))
    with pytest.raises(ValueError, match="of 1 class pairs says nothing"):
        pair_rank_correlation(torch.eye(2), torch.eye(2))


def test_a_permuted_file_is_refused() -> None:
    votes, _, labels = votes_and_logits()
    check_agreement(votes, labels)
    shuffled = votes[torch.randperm(60, generator=torch.Generator().manual_seed(3))]
    share = float((shuffled.argmax(1) == labels).double().mean())
    with pytest.raises(ValueError, match=f"labels of {100 * share:.0f} % of the images, less than 50 %: row i"):
        check_agreement(shuffled, labels)
    half = torch.eye(2)[torch.tensor([0, 0])]
    check_agreement(half, torch.tensor([0, 1]))


@pytest.mark.skipif(not (SHARED / "cifar10h").is_dir(), reason="no shared CIFAR-10H")
def test_people_confuse_cats_with_dogs() -> None:
    counts = torch.from_numpy(np.load(SHARED / "cifar10h" / "cifar10h-counts.npy"))
    shares = torch.from_numpy(np.load(SHARED / "cifar10h" / "cifar10h-probs.npy"))
    torch.testing.assert_close(human_distributions(counts, 10_000, 10), shares)
    found = human_confusion(counts, counts.argmax(1))
    automobile, cat, dog, truck = 1, 3, 5, 9
    assert int(found[cat].argmax()) == dog
    assert int(found[automobile].argmax()) == truck
    uniform = human_divergence(torch.zeros(10_000, 10), counts)
    entropy = -torch.special.xlogy(shares, shares).sum(1)
    torch.testing.assert_close(uniform, math.log(10) - entropy)
