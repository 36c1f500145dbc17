"""Similarity as numbers: which information between classes a label keeps, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vsmooth.metrics.geometry import cluster_shape, distance_variation, linear_cka
from vsmooth.metrics.human_labels import (
    check_agreement,
    human_confusion,
    human_distributions,
    human_divergence,
    image_rank_correlation,
    pair_rank_correlation,
)
from vsmooth.metrics.resampling import bootstrap_statistic
from vsmooth.metrics.similarity import class_similarity, template_cosine, wrong_logit_spread
from vsmooth.records.features import Features
from vsmooth.records.inspection import SimilarityMetrics

LOGIT_KEYS = ("spread", "spread_within", "spread_across", "distance_variation", "cluster_spread")
HUMAN_KEYS = ("human_kl", "human_image_rank", "human_pair_rank", "human_template_rank")




def evaluate_similarity(
    features: Features,
    human: Tensor | None = None,
    baseline: Features | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> SimilarityMetrics:
    """All of `SimilarityMetrics` on one split; human (N, K) counts or probabilities of the same images in their order.

    Intervals are 95 % basic bootstraps over the images, differences paired on them (`baseline` must hold the same
    samples); they hold for this pair of networks, not for other training seeds. ValueError for fewer than three
    classes, human labels of another length or of other images (`check_agreement`), and a baseline of other samples.
    """
    if baseline is not None and not torch.equal(baseline.labels, features.labels):
        raise ValueError("the baseline's labels are not those of the features: both must hold the same samples")
    names, own = _statistic(features, human)
    other = None if baseline is None else _statistic(baseline, human)[1]

    def statistic(indices: Tensor) -> Tensor:
        found = own(indices)
        return found if other is None else torch.cat([found, found - other(indices)])

    intervals = bootstrap_statistic(statistic, len(features), resamples=resamples, seed=seed)
    return SimilarityMetrics(
        values=dict(zip(names, intervals[: len(names)], strict=True)),
        differences=dict(zip(names, intervals[len(names) :], strict=True)) if baseline is not None else {},
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


def _statistic(features: Features, human: Tensor | None) -> tuple[tuple[str, ...], Callable[[Tensor], Tensor]]:
    logits, labels = features.predictions.logits.double(), features.labels
    activations = features.activations.double()
    people = None if human is None else _HumanAgreement(features, human)

    def statistic(indices: Tensor) -> Tensor:
        chosen = labels[indices]
        spread = wrong_logit_spread(logits[indices], chosen)
        shape = cluster_shape(activations[indices], chosen, features.num_classes)
        found = [
            spread.relative,
            spread.within / spread.gap,
            spread.across / spread.gap,
            shape.distance_variation,
            shape.spread,
        ]
        return torch.tensor(found + ([] if people is None else people.values(indices)), dtype=torch.float64)

    return LOGIT_KEYS + (() if people is None else HUMAN_KEYS), statistic


class _HumanAgreement:
    """What does not change between resamples is computed once."""

    def __init__(self, features: Features, human: Tensor) -> None:
        self.logits, self.labels = features.predictions.logits.double(), features.labels
        self.human = human_distributions(human, *self.logits.shape)
        check_agreement(self.human, self.labels)
        self.divergence = human_divergence(self.logits, self.human)
        self.ranks = image_rank_correlation(self.logits, self.human, self.labels)
        self.cosine = template_cosine(features.real_templates)

    def values(self, indices: Tensor) -> list[float]:
        labels = self.labels[indices]
        confusion = human_confusion(self.human[indices], labels)
        similarity = class_similarity(self.logits[indices], labels)
        return [
            float(self.divergence[indices].mean()),
            float(self.ranks[indices].nanmean()),
            pair_rank_correlation(similarity, confusion),
            pair_rank_correlation(self.cosine, confusion),
        ]


def _count_errors(features: Features, human: Tensor) -> int:
    shares = human_distributions(human, len(features), features.num_classes)
    own = shares.gather(1, features.labels[:, None]).squeeze(1)
    return int((own < 1).sum())
