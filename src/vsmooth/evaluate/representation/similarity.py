"""Metrics of class similarity: which information between classes a label keeps, with intervals of differences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vsmooth.metrics.bootstrap import BootstrapInterval
from vsmooth.metrics.geometry import cluster_shape, distance_variation, linear_cka
from vsmooth.metrics.human_labels import (
    check_agreement,
    human_confusion,
    human_distributions,
    human_divergence,
    image_rank_correlation,
    pair_rank_correlation,
)
from vsmooth.metrics.resampling import bootstrap_statistic, jackknife_statistic
from vsmooth.metrics.similarity import class_similarity, template_cosine, wrong_logit_spread
from vsmooth.records.features import Features
from vsmooth.records.inspection import SimilarityMetrics

SPREAD_KEYS = ("spread", "spread_within", "spread_across", "distance_variation", "cluster_spread")
IMAGE_KEYS = ("human_kl", "human_image_rank")
PAIR_KEYS = ("human_pair_rank", "human_template_rank")


def evaluate_similarity(
    features: Features,
    human: Tensor | None = None,
    baseline: Features | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> SimilarityMetrics:
    """All of `SimilarityMetrics` on one split; human (N, K) counts or probabilities of the same images in their order.

    The differences' 95 % intervals are over the images, on which the two are paired (`baseline` must hold the same
    samples): a jackknife, and for the ranks of class pairs, which are not smooth, a percentile bootstrap with
    `resamples`. They hold for this pair of networks, not for other training seeds. Values have no interval: that of
    the ranks of class pairs would not cover. ValueError for fewer than three classes, human labels of another length
    or of other images (`check_agreement`), and a baseline of other samples.
    """
    if baseline is not None and not torch.equal(baseline.labels, features.labels):
        raise ValueError("the baseline's labels are not those of the features: both must hold the same samples")
    own = _Measures(features, human)
    other = None if baseline is None else _Measures(baseline, human)
    return SimilarityMetrics(
        values=own.values(),
        differences={} if other is None else _differences(own, other, resamples, seed),
        template_variation=distance_variation(features.real_templates),
        samples=len(features),
        images_with_human_errors=None if human is None else _count_errors(features, human),
    )


def cka_matrix(runs: Sequence[Features]) -> Tensor:
    """(R, R) float64 linear CKA of the activations of each pair of runs on the same samples; diagonal 1.

    ValueError for runs on different samples.
    """
    found = torch.eye(len(runs), dtype=torch.float64)
    for i, first in enumerate(runs):
        for j, second in enumerate(runs[:i]):
            if not torch.equal(first.labels, second.labels):
                raise ValueError(f"runs {j} and {i} hold different samples, so their layers cannot be aligned")
            found[i, j] = found[j, i] = linear_cka(first.activations, second.activations)
    return found


def _differences(own: _Measures, other: _Measures, resamples: int, seed: int) -> dict[str, BootstrapInterval]:
    count = len(own.labels)
    found = jackknife_statistic(lambda indices: own.smooth(indices) - other.smooth(indices), count, seed=seed)
    if own.people is not None:
        found += bootstrap_statistic(
            lambda indices: own.pairs(indices) - other.pairs(indices), count, resamples=resamples, seed=seed
        )
    return dict(zip(own.keys, found, strict=True))


class _Measures:
    """The numbers of one network on any choice of its samples (indices, which may repeat)."""

    def __init__(self, features: Features, human: Tensor | None) -> None:
        self.logits, self.labels = features.predictions.logits.double(), features.labels
        self.activations, self.num_classes = features.activations.double(), features.num_classes
        self.people = None if human is None else _People(features, human)
        self.keys = SPREAD_KEYS + (() if human is None else IMAGE_KEYS + PAIR_KEYS)

    def values(self) -> dict[str, float]:
        everything = torch.arange(len(self.labels))
        found = torch.cat([self.smooth(everything), self.pairs(everything)])
        return dict(zip(self.keys, found.tolist(), strict=True))

    def smooth(self, indices: Tensor) -> Tensor:
        """Of SPREAD_KEYS, and with people also of IMAGE_KEYS."""
        chosen = self.labels[indices]
        spread = wrong_logit_spread(self.logits[indices], chosen)
        shape = cluster_shape(self.activations[indices], chosen, self.num_classes)
        found = [
            spread.relative,
            spread.within / spread.gap,
            spread.across / spread.gap,
            shape.distance_variation,
            shape.spread,
        ]
        if self.people is not None:
            found += [float(self.people.divergence[indices].mean()), float(self.people.ranks[indices].nanmean())]
        return torch.tensor(found, dtype=torch.float64)

    def pairs(self, indices: Tensor) -> Tensor:
        """Of PAIR_KEYS; nothing without people."""
        if self.people is None:
            return torch.zeros(0, dtype=torch.float64)
        labels = self.labels[indices]
        confusion = human_confusion(self.people.human[indices], labels)
        similarity = class_similarity(self.logits[indices], labels)
        found = [pair_rank_correlation(matrix, confusion) for matrix in (similarity, self.people.cosine)]
        return torch.tensor(found, dtype=torch.float64)


class _People:
    """Agreement with people that does not change between choices of samples."""

    def __init__(self, features: Features, human: Tensor) -> None:
        logits = features.predictions.logits.double()
        self.human = human_distributions(human, *logits.shape)
        check_agreement(self.human, features.labels)
        self.divergence = human_divergence(logits, self.human)
        self.ranks = image_rank_correlation(logits, self.human, features.labels)
        self.cosine = template_cosine(features.real_templates)


def _count_errors(features: Features, human: Tensor) -> int:
    shares = human_distributions(human, len(features), features.num_classes)
    own = shares.gather(1, features.labels[:, None]).squeeze(1)
    return int((own < 1).sum())
