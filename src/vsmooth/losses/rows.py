"""Logits and targets of any layout, checked, as rows: one for each sample or place."""

from __future__ import annotations

import torch
from torch import Tensor

from vsmooth.labels import LabelScheme
from vsmooth.losses.closed_form import is_transformed
from vsmooth.targets import check_index_targets, check_not_one_hot, check_probabilities

IGNORED = -100  # what torch's cross entropy ignores unless told otherwise


def as_rows(
    logits: Tensor, targets: Tensor, scheme: LabelScheme, num_classes: int, ignore_index: int = IGNORED
) -> tuple[Tensor, Tensor, slice]:
    """Logits (n, C), targets (n,) int64 or (n, K) floating point, and the classes of the scheme's smoothing set.

    logits: (N, C, d1, ...); targets: class indices (N, d1, ...) or probabilities (N, K, d1, ...).

    Raises:
        ValueError: as :func:`vsmooth.losses.smoothed_cross_entropy`; the values of targets are checked on a CPU alone.
    """
    _check_shapes(logits, targets, num_classes)
    members = scheme.smoothing_slice(num_classes, logits.shape[1])
    by_index = not targets.is_floating_point()
    flat = targets.reshape(-1).long() if by_index else _rows(targets)
    if not torch.compiler.is_compiling() and flat.device.type == "cpu" and not is_transformed():
        check_index_targets(flat, num_classes, ignore_index) if by_index else check_probabilities(flat, num_classes)
    return _rows(logits), flat, members


def check_tensors(logits: Tensor, targets: Tensor) -> None:
    """Raise ``ValueError`` for what is no tensor."""
    if not isinstance(logits, Tensor) or not isinstance(targets, Tensor):
        kinds = f"{type(logits).__name__} and {type(targets).__name__}"
        raise ValueError(f"logits and targets must be tensors, got {kinds}")


def _check_shapes(logits: Tensor, targets: Tensor, num_classes: int) -> None:
    if logits.ndim < 2:
        raise ValueError(f"logits must be (N, C, d1, ...) or (C,), got shape {tuple(logits.shape)}")
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point, got {logits.dtype}")
    places = (logits.shape[0], *logits.shape[2:])
    _check_class_dimension(logits, targets, num_classes)
    if targets.shape != places:
        check_not_one_hot(targets, num_classes)
    if targets.is_floating_point():
        wanted: tuple[int, ...] = (logits.shape[0], num_classes, *logits.shape[2:])
        if targets.shape == places:
            raise ValueError(f"class indices must be integers, got {targets.dtype}: use targets.long()")
    elif targets.dtype == torch.bool or targets.is_complex():
        raise ValueError(f"targets must be integer indices or floating-point probabilities, got {targets.dtype}")
    else:
        wanted = places
    if targets.shape != wanted:
        raise ValueError(
            f"targets have shape {tuple(targets.shape)}, but logits {tuple(logits.shape)} with num_classes="
            f"{num_classes} need {wanted}"
        )


def _check_class_dimension(logits: Tensor, targets: Tensor, num_classes: int) -> None:
    """Refuse logits (N, d1, ..., C) with targets (N, d1, ...) or (N, d1, ..., K): the layout of sequence models."""
    places = logits.shape[:-1]
    by_index = targets.shape == places and not targets.is_floating_point()
    last = by_index or targets.shape == (*places, num_classes)
    if logits.ndim < 3 or not last or logits.shape[1] == logits.shape[-1]:
        return
    both = "" if by_index else ", and targets.movedim(-1, 1)"
    raise ValueError(
        f"logits of shape {tuple(logits.shape)} have their classes in the last dimension; as for torch's cross entropy "
        f"they must be in dimension 1: use logits.movedim(-1, 1){both}"
    )


def _rows(tensor: Tensor) -> Tensor:
    return tensor if tensor.ndim == 2 else tensor.movedim(1, -1).reshape(-1, tensor.shape[1])
