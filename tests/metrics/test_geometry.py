"""The shape of clusters and the alignment of layers: hand numbers, scipy, kernels, limits, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from torch import Tensor

from vsmooth.metrics import cluster_shape, distance_variation, linear_cka


def points(samples: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(samples, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_distance_variation_agrees_with_scipy() -> None:
    found = points(7, 4)
    distances = pdist(found.numpy())
    assert distance_variation(found) == pytest.approx(distances.std() / distances.mean())


def test_a_simplex_is_equilateral_and_scale_does_not_count() -> None:
    assert distance_variation(torch.eye(5) * 3 + 1) == pytest.approx(0, abs=1e-7)
    assert distance_variation(points(5, 3) * 10) == pytest.approx(distance_variation(points(5, 3)))
    # 3-4-5 triangle: mean 4, population variance 2/3.
    triangle = torch.tensor([[0.0, 0], [3, 0], [0, 4]])
    assert distance_variation(triangle) == pytest.approx(math.sqrt(2 / 3) / 4)


def test_cluster_shape_by_hand() -> None:
    centres = torch.tensor([[0.0, 0], [3, 0], [0, 4]])
    labels = torch.arange(3).repeat(2)
    offsets = torch.tensor([[1.0, 0]] * 3 + [[-1.0, 0]] * 3)
    found = cluster_shape(centres[labels] + offsets, labels, num_classes=5)  # two classes have no samples
    assert found.distance_variation == pytest.approx(math.sqrt(2 / 3) / 4)
    assert found.spread == pytest.approx(1 / 4)


def test_cka_agrees_with_the_kernel_definition() -> None:
    x, y = points(12, 5), points(12, 30, seed=1)  # wider and narrower than N: both ways to compute it
    centre = np.eye(12) - 1 / 12
    kernels = [centre @ (a.numpy() @ a.numpy().T) @ centre for a in (x, y)]
    hsic = [[np.trace(a @ b) for b in kernels] for a in kernels]
    expected = hsic[0][1] / math.sqrt(hsic[0][0] * hsic[1][1])
    assert linear_cka(x, y) == pytest.approx(expected)
    assert linear_cka(y, x) == pytest.approx(expected)
    small = points(12, 3, seed=2)
    assert linear_cka(x, small) == pytest.approx(linear_cka(torch.cat([x, torch.zeros(12, 20)], 1), small))


def test_cka_limits_and_invariances() -> None:
    x = points(40, 6)
    rotation = torch.linalg.qr(points(6, 6, seed=3)).Q
    assert linear_cka(x, x) == pytest.approx(1)
    assert linear_cka(x, 3 * x @ rotation + 5) == pytest.approx(1)
    # Columns that are orthogonal after centring share nothing.
    first, second = torch.tensor([[1.0], [1], [-1], [-1]]), torch.tensor([[1.0], [-1], [1], [-1]])
    assert linear_cka(first, second) == pytest.approx(0)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="needs at least 3 points, got 2"):
        distance_variation(torch.eye(2))
    with pytest.raises(ValueError, match="points: row 0 holds NaN or Inf"):
        distance_variation(torch.full((3, 2), float("inf")))
    with pytest.raises(ValueError, match="all points are equal"):
        distance_variation(torch.ones(3, 2))
    with pytest.raises(ValueError, match="needs at least 3 classes with samples, got 1"):
        cluster_shape(points(4, 2), torch.zeros(4, dtype=torch.long), 10)
    with pytest.raises(ValueError, match="4 predictions but 3 labels"):
        cluster_shape(points(4, 2), torch.arange(3), 3)
    with pytest.raises(ValueError, match="same samples in both layers, got 4 and 5"):
        linear_cka(points(4, 2), points(5, 2))
    with pytest.raises(ValueError, match="do not vary between samples"):
        linear_cka(torch.ones(4, 2), points(4, 2))
    with pytest.raises(ValueError, match=r"activations must be floating point \(N, D\)"):
        linear_cka(torch.ones(4, 2, 2), points(4, 2))
