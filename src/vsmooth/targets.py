"""What targets may be: class indices in range, or probabilities that sum to 1."""

from __future__ import annotations

import torch
from torch import Tensor

_SUM_TOLERANCE = 1e-3
_SUM_TOLERANCE_HALF = 2e-2


def check_probabilities(targets: Tensor, num_classes: int, class_dim: int = 1) -> None:
    """Raise ``ValueError`` unless ``targets`` are distributions over ``num_classes`` along ``class_dim``."""
    if targets.shape[class_dim] != num_classes:
        raise ValueError(
            f"probability targets have {targets.shape[class_dim]} columns, expected one per real class: {num_classes}"
        )
    tolerance = _SUM_TOLERANCE_HALF if targets.dtype.itemsize == 2 else _SUM_TOLERANCE
    dtype = torch.promote_types(targets.dtype, torch.float32)
    # In parts: a sum in another dtype makes a copy of what it sums.
    sums = torch.cat([part.sum(class_dim, dtype=dtype) for part in targets.detach().split(256)])
    worst = (sums - 1).abs().max() if sums.numel() else sums.new_zeros(())
    if not worst <= tolerance:  # also true for NaN
        _check_not_multi_hot(targets, class_dim)
        raise ValueError(
            f"probability targets must sum to 1 over the classes; a row is off by {worst.item():.4g}: normalise them"
        )
    if targets.numel() and targets.detach().amin() < 0:
        raise ValueError(f"probability targets must not be negative, got {targets.min().item():.4g}")


def _check_not_multi_hot(targets: Tensor, class_dim: int) -> None:
    ones = targets.detach() == 1
    if (ones | (targets == 0)).all() and (ones.sum(class_dim) > 1).any():
        raise ValueError(
            "targets have rows with several ones: multi-label targets are not supported; give one class or one "
            "distribution for each sample"
        )


def check_not_one_hot(targets: Tensor, num_classes: int) -> None:
    """Raise ``ValueError`` for integers or booleans (N, K, ...), which are one-hot labels and not class indices."""
    if not targets.is_floating_point() and targets.ndim > 1 and targets.shape[1] == num_classes:
        _check_not_multi_hot(targets, 1)
        raise ValueError(
            f"targets of {targets.dtype} and shape {tuple(targets.shape)} look like one-hot labels: use floating "
            "point, targets.float(), or class indices, targets.argmax(1)"
        )


def check_index_targets(targets: Tensor, num_classes: int, ignore_index: int | None = None) -> None:
    """Raise ``ValueError`` naming the value unless all indices are in ``0 .. num_classes - 1`` (or ignored)."""
    used = targets if ignore_index is None else targets[targets != ignore_index]
    if used.numel() == 0:
        return
    low, high = (int(v) for v in used.aminmax())
    if low < 0 or high >= num_classes:
        allowed = "" if ignore_index is None else f" (or ignore_index={ignore_index})"
        raise ValueError(
            f"target {low if low < 0 else high} is out of range: class indices must be in "
            f"0..{num_classes - 1}{allowed}; check num_classes={num_classes} or the labels"
        )
