"""Overlap of maps: hand numbers, scipy as the reference, limits, bad input."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial.distance import cosine
from scipy.stats import spearmanr

from vsmooth.metrics import map_overlap, saliency


def gradients(seed: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(5, channels, 6, 6, generator=torch.Generator().manual_seed(seed))


def test_saliency_sums_magnitudes_over_the_channels() -> None:
    found = saliency(torch.tensor([[[[1.0, -2.0]], [[-3.0, 0.0]]]]))
    assert found.tolist() == [[[4.0, 2.0]]]


def test_overlap_agrees_with_scipy() -> None:
    first, second = gradients(0), gradients(1)
    found = map_overlap(first, second)
    for row in range(5):
        maps = [g[row].abs().sum(0).flatten().double().numpy() for g in (first, second)]
        assert float(found.cosine[row]) == pytest.approx(1 - cosine(*maps), abs=1e-6)
        assert float(found.rank[row]) == pytest.approx(spearmanr(*maps).statistic, abs=1e-6)


def test_limits() -> None:
    first = gradients(0)
    same = map_overlap(first, -3 * first)  # neither sign nor scale counts
    assert same.cosine.tolist() == pytest.approx([1] * 5)
    assert same.rank.tolist() == pytest.approx([1] * 5)
    left, right = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    left[0, 0, 0], right[0, 0, 1] = 1, 1
    apart = map_overlap(left, right)
    assert (float(apart.cosine), float(apart.rank)) == pytest.approx((0, -1))
    assert map_overlap(left, torch.zeros_like(left)).cosine.isnan().all()
    assert map_overlap(left, torch.ones_like(left)).rank.isnan().all()


def test_noise_has_a_large_cosine_but_no_rank_correlation() -> None:
    noise = [torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    found = map_overlap(*noise)
    assert float(found.cosine.mean()) == pytest.approx(0.84, abs=0.01)  # as the docstring says
    assert abs(float(found.rank.mean())) < 0.02


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(5, 3, 6, 6\) and \(5, 1, 6, 6\)"):
        map_overlap(gradients(0), gradients(0, channels=1))
    with pytest.raises(ValueError, match=r"floating point \(N, C, H, W\), got \(3, 6, 6\)"):
        saliency(gradients(0)[0])
    with pytest.raises(ValueError, match="the gradient of image 2 holds NaN or Inf"):
        saliency(gradients(0).index_fill(0, torch.tensor(2), float("nan")))
