"""Losses for an attacker to maximise, one value per sample: margins between logits, and the DLR loss.

All take logits (N, C), floating point, half precision computed in float32, and labels (N,) class indices, and give one
number a sample, (N,). They are positive where the decision is wrong, negative where it is right, 0 where it is a tie.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vsmooth.losses.closed_form import is_transformed, wide
from vsmooth.targets import check_index_targets

_FLOOR = 1e-12


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """``max_{j != y} z_j - z_y``: the lead of the best wrong class over the true one, in units of the logits.

    Errors: ValueError for wrong shapes or dtypes, fewer than 2 classes, labels outside 0..C-1 (on the CPU).
    Limits: unlike that of cross entropy, its gradient does not vanish where the softmax is near 0 or 1; at a tie it is
    the gradient of one class, so that equal logits cannot cancel.
    Source: Carlini and Wagner (2017), f_6, without its floor.
    """
    labels = _check(logits, labels, least=2)
    return _margin(logits.to(wide(logits.dtype)), labels)


def targeted_margin(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """``z_t - z_y``: the lead of class t = ``targets`` (N,) over the true one, in units of the logits.

    Errors: as :func:`margin`. Limits: 0 where the target is the label itself; the largest over t != y is the margin.
    Source: Gowal et al., "An Alternative Surrogate Loss for PGD-based Adversarial Testing" (2019).
    """
    labels, targets = _check(logits, labels, least=2), _check(logits, targets, least=2, name="targets")
    return _targeted_margin(logits.to(wide(logits.dtype)), labels, targets)


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio: ``-(z_y - max_{j != y} z_j) / (z_1st - z_3rd + 1e-12)``, the logits sorted.

    Errors: as :func:`margin`; fewer than 3 classes.
    Limits: does not change when the logits are shifted or scaled; in [-1, 1] where the label is among the first three,
    and 1 without a gradient where it is the third.
    Source: Croce and Hein, "Reliable evaluation of adversarial robustness ..." (ICML 2020), Sec. 4.
    """
    labels = _check(logits, labels, least=3, loss="DLR")
    z = logits.to(wide(logits.dtype))
    top = z.topk(3, 1).values
    return _margin(z, labels) / (top[:, 0] - top[:, 2] + _FLOOR)


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """``-(z_y - z_t) / (z_1st - (z_3rd + z_4th) / 2 + 1e-12)`` for the class t = ``targets`` (N,).

    Errors: as :func:`margin`; fewer than 4 classes. Limits: as :func:`dlr`.
    Source: Croce and Hein (ICML 2020), Sec. 4.
    """
    labels = _check(logits, labels, least=4, loss="targeted DLR")
    targets = _check(logits, targets, least=4, name="targets")
    z = logits.to(wide(logits.dtype))
    top = z.topk(4, 1).values
    return _targeted_margin(z, labels, targets) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2 + _FLOOR)


def _margin(z: Tensor, labels: Tensor) -> Tensor:
    # -inf and not z - large * one_hot, which rounds; max and not amax, which would share a tie's gradient.
    others = z.scatter(1, labels[:, None], -math.inf).max(1).values
    return others - z.gather(1, labels[:, None]).squeeze(1)


def _targeted_margin(z: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    return (z.gather(1, targets[:, None]) - z.gather(1, labels[:, None])).squeeze(1)


def _check(logits: Tensor, labels: Tensor, *, least: int, name: str = "labels", loss: str = "") -> Tensor:
    """The class indices as int64."""
    if logits.ndim != 2 or not logits.is_floating_point():
        raise ValueError(f"logits must be floating point (N, C), got {logits.dtype} {tuple(logits.shape)}")
    if logits.shape[1] < least:
        what = f"the {loss} loss" if loss else "a margin"
        remedy = "; use the margin instead" if least > 2 else ""
        raise ValueError(f"{what} needs {least} classes or more, got {logits.shape[1]}{remedy}")
    if labels.shape != logits.shape[:1] or labels.dtype == torch.bool or labels.is_floating_point():
        found = f"{labels.dtype} {tuple(labels.shape)}"
        raise ValueError(f"{name} must be class indices ({len(logits)},), one for each row of logits, got {found}")
    if labels.device.type == "cpu" and not torch.compiler.is_compiling() and not is_transformed():
        check_index_targets(labels, logits.shape[1])
    return labels.long()
