"""Scores from the logits alone. A larger score speaks for an outlier; all are float64, so that none saturates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from vsmooth.evaluate.ood.outputs import Layout


@dataclass(frozen=True, eq=False)
class Parts:
    """Logits by kind, float64: real (N, K), reject (N, R), virtual (N, V), and all of them (N, K + R + V)."""

    real: Tensor
    reject: Tensor
    virtual: Tensor
    all: Tensor

    @classmethod
    def of(cls, logits: Tensor, layout: Layout) -> Parts:
        """ValueError for fewer logits than the layout has classes."""
        ordinary = layout.num_classes + layout.num_reject
        if logits.shape[1] < ordinary:
            raise ValueError(f"{logits.shape[1]} logits are too few for {ordinary} real and reject classes")
        z = logits.double()
        return cls(z[:, : layout.num_classes], z[:, layout.num_classes : ordinary], z[:, ordinary:], z)


Score = Callable[[Parts], Tensor]


def msp_real(z: Parts) -> Tensor:
    """1 - the largest probability of the softmax over the K real classes. Hendrycks and Gimpel (ICLR 2017)."""
    return _all_but_the_top(z.real, z.real)


def msp_all(z: Parts) -> Tensor:
    """1 - the largest probability of a real class in the softmax over all K + R + V classes."""
    return _all_but_the_top(z.all, z.real)


def _all_but_the_top(logits: Tensor, real: Tensor) -> Tensor:
    """1 - p of the largest real logit, as a sum of the others: 1 - p itself rounds to 0 where a network is sure."""
    others = logits.scatter(1, real.argmax(1, keepdim=True), -math.inf)
    return (others.logsumexp(1) - logits.logsumexp(1)).exp()


def energy_real(z: Parts) -> Tensor:
    """-logsumexp of the K real logits. Liu et al. (NeurIPS 2020)."""
    return -z.real.logsumexp(1)


def energy_all(z: Parts) -> Tensor:
    """-logsumexp of all K + R + V logits."""
    return -z.all.logsumexp(1)


def max_logit(z: Parts) -> Tensor:
    """- the largest real logit. Hendrycks et al. (ICML 2022)."""
    return -z.real.amax(1)


def reject_mass(z: Parts) -> Tensor:
    """Probability of all reject classes together. Mohseni et al. (AAAI 2020)."""
    return (z.reject.logsumexp(1) - z.all.logsumexp(1)).exp()


def virtual_mass(z: Parts) -> Tensor:
    """Probability of all virtual classes together."""
    return (z.virtual.logsumexp(1) - z.all.logsumexp(1)).exp()


LOGIT_SCORES: Mapping[str, Score] = {
    "msp-real": msp_real,
    "msp-all": msp_all,
    "energy-real": energy_real,
    "energy-all": energy_all,
    "max-logit": max_logit,
    "reject-mass": reject_mass,
    "virtual-mass": virtual_mass,
}


def logit_scores(logits: Tensor, layout: Layout, names: tuple[str, ...] = tuple(LOGIT_SCORES)) -> dict[str, Tensor]:
    """The named scores, (N,) float64 each, of logits (N, K + R + V); without those of classes that there are none of.

    Limits: without reject and virtual classes "-all" is the same as "-real". ValueError as `Parts.of`.
    """
    parts = Parts.of(logits, layout)
    lacking = {"reject-mass": parts.reject, "virtual-mass": parts.virtual}
    return {name: LOGIT_SCORES[name](parts) for name in names if name not in lacking or lacking[name].shape[1]}
