"""Losses on outliers: images of no class, whose logits are to be flat, or whose energy is to be high."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from vsmooth.bounds import check_one_of
from vsmooth.labels import LabelScheme, OneHot, VirtualSmoothing, check_num_classes
from vsmooth.losses.cross_entropy import Reduction, smoothed_cross_entropy

OutlierTarget = Literal["uniform", "vs1", "vs2"]
_FARTHEST = 1_000_000  # whose squares no training survives


def outlier_exposure(
    logits: Tensor,
    num_classes: int,
    target: OutlierTarget = "uniform",
    alpha: float = 0.0,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross entropy of an outlier's logits against a target that names no class.

    With y = 1/K on each real class it is the one closed form, ``logsumexp(z) - (1 - a) <y, z_real> - a mean_j z_j``
    over the V virtual classes j: a = 0 for "uniform", ``alpha`` for "vs1", 1 for "vs2", which leaves the real classes
    nothing.

    Args:
        logits: (N, K + V), floating point; V = 0 for a network without virtual classes.
        num_classes: K.
        alpha: total confidence of the virtual classes in "vs1", in [0, 1].
        reduction: "none" (N,), "sum", or "mean" over the outliers alone.

    Raises:
        ValueError: an unknown target, "vs1" or "vs2" without virtual classes, alpha outside [0, 1].

    Limits: "vs1" with alpha 0 is "uniform", with alpha 1 "vs2"; "uniform" with V = 0 is ``logsumexp(z) - mean(z)``.
    Source: Hendrycks et al., "Deep Anomaly Detection with Outlier Exposure" (ICLR 2019); the paper (AAAI 2025),
    Sec. 4.3.
    """
    check_one_of("the target of outliers", target, get_args(OutlierTarget))
    check_num_classes(num_classes)
    nothing_known = logits.new_full((num_classes,), 1 / num_classes).expand(len(logits), num_classes)
    scheme = _scheme(target, alpha, logits.shape[1] - num_classes)
    return smoothed_cross_entropy(logits, nothing_known, scheme, num_classes, reduction=reduction)


def _scheme(target: OutlierTarget, alpha: float, virtual: int) -> LabelScheme:
    if target == "uniform":
        return VirtualSmoothing(0.0) if virtual > 0 else OneHot()
    if virtual < 1:
        raise ValueError(f"the target {target!r} of outliers needs virtual classes: give 'uniform', or a VS label")
    return VirtualSmoothing(alpha if target == "vs1" else 1.0)


def energy_bounds(inside: Tensor, outside: Tensor, low: float = -23.0, high: float = -5.0) -> tuple[Tensor, Tensor]:
    """``mean max(0, E(x_in) - low)^2`` and ``mean max(0, high - E(x_out))^2`` with the energy ``E = -logsumexp(z)``.

    inside: logits (N, C) of images of the classes, outside: (M, C) of outliers; each mean is over its own branch. The
    energy of the first is pushed below ``low``, of the second above ``high``.

    Raises:
        ValueError: bounds that are not in order.

    Limits: both are 0, without gradient, where the energies keep their bounds. The bounds are in units of the logits,
    and those of C logits: -23 and -5 are the authors' for CIFAR-10 (-27 and -5 for CIFAR-100).
    Source: Liu et al., "Energy-based Out-of-distribution Detection" (NeurIPS 2020), Eq. 8, which weighs them by 0.1.
    """
    check_bounds(low, high)
    above = (-inside.logsumexp(1) - low).clamp(min=0)
    below = (high + outside.logsumexp(1)).clamp(min=0)
    return above.square().mean(), below.square().mean()


def check_bounds(low: float, high: float) -> None:
    """``ValueError`` unless the bound of the classes' energy lies below that of the outliers', and both in reach."""
    if not low < high:
        raise ValueError(
            f"the energy of images of the classes must be bounded below that of outliers, got {low} and {high}"
        )
    if max(-low, high) > _FARTHEST:
        raise ValueError(f"bounds of the energy must be within {_FARTHEST:,} of 0, got {low} and {high}")
