"""What the metrics of logits and activations ask of their inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from vsmooth.metrics.inputs import check_finite_logits, check_labels


def check_logits(logits: Tensor, least_classes: int = 2) -> Tensor:
    """Logits (N, C) as float64; ValueError for another shape or dtype, too few classes, NaN and Inf."""
    shape = tuple(logits.shape)
    if len(shape) != 2 or shape[0] < 1 or not logits.is_floating_point():
        raise ValueError(f"logits must be floating point (N, K) with N >= 1, got {shape} of {logits.dtype}")
    if shape[1] < least_classes:
        raise ValueError(f"logits have {shape[1]} class(es); this needs at least {least_classes}")
    check_finite_logits(logits)
    return logits.double()


def check_labelled_logits(logits: Tensor, labels: Tensor, least_classes: int = 2) -> tuple[Tensor, Tensor]:
    """`check_logits`, and labels (N,) as int64 on the same device."""
    checked = check_logits(logits, least_classes)
    return checked, check_labels(labels, *checked.shape).to(checked.device)


def check_points(points: Tensor, what: str, least: int = 1) -> Tensor:
    """Points (N, D) as float64; ValueError, naming `what` they are, for other shapes, too few, NaN and Inf."""
    shape = tuple(points.shape)
    if len(shape) != 2 or shape[1] < 1 or not points.is_floating_point():
        raise ValueError(f"{what} must be floating point (N, D), got {shape} of {points.dtype}")
    if shape[0] < least:
        raise ValueError(f"{what}: got {shape[0]}, this needs at least {least}")
    broken = ~points.isfinite().all(1)
    if broken.any():
        raise ValueError(f"{what}: row {int(broken.nonzero()[0])} holds NaN or Inf")
    return points.double()


def class_means(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean of the rows of each class: values (N, D), labels (N,) in 0..K-1 -> (K, D); NaN for a class without rows."""
    members = torch.nn.functional.one_hot(labels, num_classes).to(values.dtype)
    return (members.T @ values) / members.sum(0)[:, None]
