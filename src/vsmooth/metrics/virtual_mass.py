"""What the virtual classes do: how much probability they take, how evenly, and where their templates lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vsmooth.metrics.representation_inputs import check_logits, check_points

MASS_TOLERANCE = 0.05  # of the mean from alpha: a twentieth of all confidence
EVEN_TOLERANCE = 0.05  # of the normalised entropy from that of the label
_SHARES = ("alpha", "mass_mean", "mass_std", "mass_low", "mass_high", "entropy", "label_entropy", "top_share")
_ROUNDING = 1e-6
TOP_TOLERANCE = 0.01  # of the samples may have a virtual class on top


@dataclass(frozen=True)
class TemplateDistances:
    """Mean Euclidean distances between the classifier's rows; virtual ones that lie together act as one class."""

    real_real: float
    real_virtual: float
    virtual_virtual: float | None  # None for V = 1

    def __post_init__(self) -> None:
        if min(self.real_real, self.real_virtual, self.virtual_virtual or 0.0) < 0:
            raise ValueError("distances must not be negative")


@dataclass(frozen=True)
class VirtualDiagnostics:
    """The virtual classes of one model on N samples; shares in [0, 1]."""

    alpha: float
    num_virtual: int
    mass_mean: float  # should be near alpha
    mass_std: float
    mass_low: float  # 5 % and 95 % quantiles over the samples
    mass_high: float
    entropy: float | None  # mean, over log V; None for V = 1
    label_entropy: float | None  # that of the label's own distribution: 1 where it is uniform
    top_share: float  # samples whose largest logit is virtual
    distances: TemplateDistances

    def __post_init__(self) -> None:
        if self.num_virtual < 1:
            raise ValueError(f"num_virtual must be at least 1, got {self.num_virtual}")
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not (math.isnan(value) or -_ROUNDING <= value <= 1 + _ROUNDING):
                raise ValueError(f"{name} must lie in [0, 1], got {value}")


def virtual_mass(logits: Tensor, num_classes: int) -> Tensor:
    """Probability of all virtual classes together, (N,) float64: `sum_{j > K} softmax(z)_j` of logits (N, K + V).

    At the optimum of the loss it is alpha for every sample (the paper's Eq. 3). ValueError without virtual classes, and
    for NaN or Inf.
    """
    real, virtual = _split(logits, num_classes)
    return (virtual.logsumexp(1) - real.logsumexp(1)).sigmoid()


def virtual_entropy(logits: Tensor, num_classes: int) -> Tensor:
    """Entropy of the softmax over the V virtual classes alone, over log V: (N,) float64 in [0, 1], 1 for even shares.

    ValueError for V < 2, where there is nothing to share, and as `virtual_mass`.
    """
    _, virtual = _split(logits, num_classes)
    width = virtual.shape[1]
    if width < 2:
        raise ValueError("one virtual class has no entropy: there is nothing to share")
    log_shares = virtual.log_softmax(1)
    return -(log_shares.exp() * log_shares).sum(1) / math.log(width)


def virtual_top(logits: Tensor, num_classes: int) -> Tensor:
    """Whether the largest of all K + V logits is a virtual one, (N,) bool; a tie counts as real."""
    real, virtual = _split(logits, num_classes)
    return virtual.amax(1) > real.amax(1)


def template_distances(real: Tensor, virtual: Tensor) -> TemplateDistances:
    """Mean distances between the rows of the classifier: real (K, D), K >= 2, and virtual (V, D), V >= 1.

    ValueError for other shapes, NaN or Inf.
    """
    real = check_points(real, "real templates", least=2)
    virtual = check_points(virtual, "virtual templates")
    if real.shape[1] != virtual.shape[1]:
        raise ValueError(f"templates must have one width, got {real.shape[1]} and {virtual.shape[1]}")
    among = float(torch.pdist(virtual).mean()) if len(virtual) > 1 else None
    return TemplateDistances(float(torch.pdist(real).mean()), float(torch.cdist(real, virtual).mean()), among)


def virtual_diagnostics(
    logits: Tensor,
    real_templates: Tensor,
    virtual_templates: Tensor,
    alpha: float,
    distribution: Sequence[float] | None = None,
) -> VirtualDiagnostics:
    """All of `VirtualDiagnostics` from logits (N, K + V) and the templates (K, D) and (V, D).

    `alpha` and `distribution` are those of the label that the model was trained with. ValueError as `virtual_mass`, and
    for templates that do not fit the logits.
    """
    num_classes, num_virtual = len(real_templates), len(virtual_templates)
    if logits.ndim == 2 and logits.shape[1] != num_classes + num_virtual:
        raise ValueError(
            f"logits have {logits.shape[1]} columns for {num_classes} real and {num_virtual} virtual templates"
        )
    mass = virtual_mass(logits, num_classes)
    low, high = mass.quantile(torch.tensor([0.05, 0.95], dtype=mass.dtype, device=mass.device)).tolist()
    return VirtualDiagnostics(
        alpha=alpha,
        num_virtual=num_virtual,
        mass_mean=float(mass.mean()),
        mass_std=float(mass.std(correction=0)),
        mass_low=low,
        mass_high=high,
        entropy=float(virtual_entropy(logits, num_classes).mean()) if num_virtual > 1 else None,
        label_entropy=_label_entropy(num_virtual, distribution),
        top_share=float(virtual_top(logits, num_classes).double().mean()),
        distances=template_distances(real_templates, virtual_templates),
    )


def mass_verdict(found: VirtualDiagnostics) -> str:
    """One sentence: whether the virtual classes took the share that their label gives them, and what is amiss."""
    amiss = [text for text in (_mass_amiss(found), _entropy_amiss(found), _top_amiss(found)) if text]
    numbers = f"mean mass {found.mass_mean:.3f} at alpha {found.alpha:g}"
    if found.entropy is not None:
        numbers += f", evenness {found.entropy:.3f}"
    if not amiss:
        return f"The virtual classes are as their label asks: {numbers}."
    return f"The virtual classes are not as their label asks ({numbers}): {'; '.join(amiss)}."


def _mass_amiss(found: VirtualDiagnostics) -> str:
    if abs(found.mass_mean - found.alpha) <= MASS_TOLERANCE:
        return ""
    if found.mass_mean > found.alpha:
        return "they take more than alpha, so the model is unsure of these samples or has not been trained long enough"
    return "they take less than alpha, so the real classes won; check that the loss saw all K + V logits"


def _entropy_amiss(found: VirtualDiagnostics) -> str:
    if found.entropy is None or found.label_entropy is None:
        return ""
    if abs(found.entropy - found.label_entropy) <= EVEN_TOLERANCE:
        return ""
    return f"they do not share it as the label does (evenness {found.label_entropy:.3f})"


def _top_amiss(found: VirtualDiagnostics) -> str:
    """With alpha / V above 1 - alpha the label itself puts a virtual class first."""
    if found.top_share <= TOP_TOLERANCE or found.alpha / found.num_virtual >= 1 - found.alpha:
        return ""
    return f"a virtual class has the largest logit on {found.top_share:.1%} of the samples"


def _label_entropy(num_virtual: int, distribution: Sequence[float] | None) -> float | None:
    if num_virtual < 2:
        return None
    if distribution is None:
        return 1.0
    if len(distribution) != num_virtual:
        raise ValueError(f"distribution has {len(distribution)} numbers for {num_virtual} virtual classes")
    shares = torch.tensor(distribution, dtype=torch.float64)
    return float(-torch.special.xlogy(shares, shares).sum()) / math.log(num_virtual)


def _split(logits: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    logits = check_logits(logits)
    if not 1 <= num_classes < logits.shape[1]:
        raise ValueError(
            f"logits have {logits.shape[1]} columns for {num_classes} real classes: there are no virtual ones; ask the "
            "model for all logits with all_logits(model)"
        )
    return logits[:, :num_classes], logits[:, num_classes:]
