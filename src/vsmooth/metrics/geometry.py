"""Geometry of the classes in the penultimate layer, and the similarity of two layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsmooth.metrics.inputs import check_labels
from vsmooth.metrics.representation_inputs import check_points, class_means


@dataclass(frozen=True)
class ClusterShape:
    """How equilateral and how tight the clusters of classes are; neither number has a unit."""

    distance_variation: float  # 0: all class means are equally far from each other
    spread: float  # RMS distance of a sample from its class mean, over the mean distance between class means


def cluster_shape(activations: Tensor, labels: Tensor, num_classes: int) -> ClusterShape:
    """Coefficient of variation of the distances between class means, and the width of the clusters.

    activations (N, D), labels (N,) in 0..K-1; classes without samples do not count, three must have some. The first
    number makes the paper's Fig. 2 measurable: label smoothing draws the clusters to an equilateral shape, where no two
    classes are nearer than others. ValueError for fewer than three classes, NaN or Inf, lengths that do not fit.
    """
    activations = check_points(activations, "activations")
    labels = check_labels(labels, len(activations), num_classes).to(activations.device)
    means = class_means(activations, labels, num_classes)
    present = ~means.isnan().any(1)
    distances = _pair_distances(means[present], "classes with samples")
    width = (activations - means[labels]).square().sum(1).mean().sqrt()
    return ClusterShape(_variation(distances), float(width / distances.mean()))


def distance_variation(points: Tensor) -> float:
    """Coefficient of variation, `std / mean` (of the population), of the pairwise distances of points (K, D), K >= 3.

    Limits: 0 for the vertices of a regular simplex. Source: the equinorm and equiangle measures of Papyan, Han and
    Donoho (2020), "Neural collapse", Sec. 2, in one number. ValueError for K < 3, NaN or Inf, and equal points.
    """
    return _variation(_pair_distances(check_points(points, "points"), "points"))


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear centred kernel alignment of two layers on the same N samples, in [0, 1].

    `||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F)`, columns centred; first (N, D1), second (N, D2). Limits: 1 for layers
    that are equal up to rotation, scale and shift. It has a positive bias where N is not large against D1 and D2.
    Source: Kornblith et al. (2019), Eq. 3 and Sec. 3. ValueError for different N, N < 2, NaN or Inf, and activations
    that do not vary.
    """
    x, y = check_points(first, "activations", least=2), check_points(second, "activations", least=2)
    if len(x) != len(y):
        raise ValueError(f"CKA needs the same samples in both layers, got {len(x)} and {len(y)}")
    x, y = x - x.mean(0), y - y.mean(0)
    own = _gram_norm(x) * _gram_norm(y)
    if own == 0:
        raise ValueError("CKA is not defined for activations that do not vary between samples")
    return float(_cross(x, y) / own)


def _cross(x: Tensor, y: Tensor) -> Tensor:
    if len(x) < max(x.shape[1], y.shape[1]):  # the smaller of the two equal expressions
        return ((x @ x.T) * (y @ y.T)).sum()
    return (y.T @ x).square().sum()


def _gram_norm(x: Tensor) -> float:
    return float(_cross(x, x).sqrt())


def _pair_distances(points: Tensor, what: str) -> Tensor:
    if len(points) < 3:
        raise ValueError(f"how equilateral a shape is needs at least 3 {what}, got {len(points)}")
    distances = torch.pdist(points)
    if not float(distances.mean()) > 0:
        raise ValueError("all points are equal, so their distances have no shape")
    return distances


def _variation(distances: Tensor) -> float:
    return float(distances.std(correction=0) / distances.mean())
