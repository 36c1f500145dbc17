"""How far one set of logits is from another: KL divergence and its variants for knowledge distillation.

Distillation, robust distillation and TRADES share this code: the first argument is the reference for the second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from vsmooth.bounds import check_most, check_one_of
from vsmooth.losses.closed_form import wide
from vsmooth.losses.cross_entropy import Reduction

DivergenceKind = Literal["kl", "decoupled", "standardised"]
_VARIANCE_FLOOR = 1e-8
_COLDEST, _HOTTEST, _HEAVIEST = 0.01, 1_000_000, 1_000_000


def kl_divergence(
    reference: Tensor, logits: Tensor, *, temperature: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """``KL(p || q) = sum_j p_j (log p_j - log q_j)`` with p = softmax(reference / tau), q = softmax(logits / tau).

    Args:
        reference, logits: (N, C), floating point; half precision is computed in float32. Both may require gradients.
        temperature: tau. The factor tau^2 of distillation is not included.
        reduction: "none" (N,), "sum", or "mean" over the samples (torch's "batchmean"), in nats.

    Raises:
        ValueError: shapes that differ or are not (N, C), tau <= 0, an unknown reduction.

    Limits: 0 where the logits differ by a constant; with ``reference`` at one class it is cross entropy; tau^2 KL tends
    to ``|d|^2 / (2 C)`` with growing tau, d the difference of the centred logits.
    """
    _check_logits(reference, logits)
    _check_tau(temperature)
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    dtype = wide(torch.promote_types(reference.dtype, logits.dtype))
    log_p, log_q = (torch.log_softmax(z.to(dtype) / temperature, 1) for z in (reference, logits))
    if reduction == "none":
        return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)
    return F.kl_div(log_q, log_p, reduction="sum" if reduction == "sum" else "batchmean", log_target=True)


def decoupled_divergence(
    reference: Tensor,
    logits: Tensor,
    targets: Tensor,
    *,
    temperature: float = 1.0,
    target_weight: float = 1.0,
    other_weight: float = 8.0,
) -> Tensor:
    """``target_weight * KL(b_p || b_q) + other_weight * KL(o_p || o_q)``, the mean over the samples.

    b = (p_y, 1 - p_y) is true class against the rest, o = p_j / (1 - p_y) the distribution among the rest; p and q as
    in :func:`kl_divergence`, ``targets`` (N,) class indices.

    Raises:
        ValueError: as :func:`kl_divergence`; targets that are not (N,) integers; fewer than 3 classes.

    Limits: weights 1 and ``1 - p_y`` (of the reference, sample by sample) give the KL divergence itself.
    Source: Zhao et al., "Decoupled Knowledge Distillation" (CVPR 2022), Eq. 7; their alpha and beta are the weights.
    """
    _check_logits(reference, logits)
    _check_tau(temperature)
    if targets.shape != logits.shape[:1] or targets.is_floating_point():
        raise ValueError(
            f"decoupled distillation needs class indices ({len(logits)},), got {targets.dtype} "
            f"{tuple(targets.shape)}; it has no meaning for mixed labels"
        )
    if logits.shape[1] < 3:
        raise ValueError("decoupled distillation needs 3 classes or more: with 2 there is only one other class")
    p, q = (_decoupled(z, targets.long(), temperature) for z in (reference, logits))
    binary, rest = (kl_divergence(ours, theirs) for ours, theirs in zip(p, q, strict=True))
    return target_weight * binary + other_weight * rest


def standardise(logits: Tensor) -> Tensor:
    """``(z - mean) / std`` of each row (N, C): the logits without their mean and scale.

    Limits: a constant row gives zeros, and so, nearly, does a row with a standard deviation well below 1e-4.
    Source: Sun et al., "Logit Standardization in Knowledge Distillation" (CVPR 2024), Alg. 1, with the standard
    deviation over C as there; their code divides by C - 1, which is a temperature of sqrt((C - 1) / C).
    """
    return F.layer_norm(logits.to(wide(logits.dtype)), logits.shape[-1:], eps=_VARIANCE_FLOOR)


@dataclass(frozen=True)
class Divergence:
    """``tau^2 * D(teacher, student)``, the mean over the samples.

    D is :func:`kl_divergence` ("kl", Hinton et al. 2015), :func:`decoupled_divergence` ("decoupled"), or KL between
    logits that were standardised first ("standardised"). tau is the paper's for "kl"; the sources of the other two use
    4 and 2. target_weight and other_weight apply only to "decoupled".
    Errors: ValueError for an unknown kind, tau outside [0.01, 1e6], a negative weight or one over a million.
    """

    kind: DivergenceKind = "kl"
    tau: float = 30.0
    target_weight: float = 1.0
    other_weight: float = 8.0

    def __post_init__(self) -> None:
        check_one_of("kind", self.kind, get_args(DivergenceKind))
        _check_tau(self.tau)
        if self.tau < _COLDEST:
            raise ValueError(f"tau must be at least {_COLDEST}, got {self.tau}: all softmaxes are one-hot by then")
        check_most("tau", self.tau, _HOTTEST, "float32 cannot tell two softmaxes that flat apart")
        for name in ("target_weight", "other_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
            check_most(name, getattr(self, name), _HEAVIEST, "no training survives such gradients")
        if self.kind != "decoupled" and (self.target_weight, self.other_weight) != (1.0, 8.0):
            raise ValueError(f"target_weight and other_weight are only for the decoupled divergence, not {self.kind!r}")

    def __call__(self, teacher: Tensor, student: Tensor, targets: Tensor) -> Tensor:
        """The divergence of logits (N, C); only "decoupled" uses ``targets`` (N,)."""
        if self.kind == "decoupled":
            weights = {"target_weight": self.target_weight, "other_weight": self.other_weight}
            found = decoupled_divergence(teacher, student, targets, temperature=self.tau, **weights)
        elif self.kind == "standardised":
            found = kl_divergence(standardise(teacher), standardise(student), temperature=self.tau)
        else:
            found = kl_divergence(teacher, student, temperature=self.tau)
        return self.tau**2 * found


def _decoupled(logits: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Logits of true class against the rest, (N, 2), and of the rest, (N, C - 1)."""
    z = logits.to(wide(logits.dtype)) / temperature
    columns = torch.arange(z.shape[1] - 1, device=z.device)
    others = z.gather(1, columns + (columns >= targets[:, None]).long())
    return torch.cat([z.gather(1, targets[:, None]), others.logsumexp(1, keepdim=True)], 1), others


def _check_logits(reference: Tensor, logits: Tensor) -> None:
    if reference.shape != logits.shape or logits.ndim != 2:
        shapes = f"{tuple(reference.shape)} and {tuple(logits.shape)}"
        raise ValueError(f"the two sets of logits must be (N, C) of one shape, got {shapes}")
    if not (reference.is_floating_point() and logits.is_floating_point()):
        raise ValueError(f"logits must be floating point, got {reference.dtype} and {logits.dtype}")


def _check_tau(temperature: float) -> None:
    if not 0 < temperature < math.inf:
        raise ValueError(f"the temperature tau must be positive and finite, got {temperature}")
