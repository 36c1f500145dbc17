"""Accuracy and the two proper scores."""

from __future__ import annotations

import torch
from torch import Tensor

from vsmooth.metrics.inputs import check_predictions
from vsmooth.metrics.weighted import WeightedPredictions, unit_weights


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Share of samples whose most probable class is the label.

    `mean_n [argmax_k p_nk = y_n]`; probabilities (N, K), labels (N,); in [0, 1]. A tie goes to the lowest
    class. ValueError for inputs that are not probabilities and labels.
    """
    return top_k_accuracy(probabilities, labels, 1)


def top_k_accuracy(probabilities: Tensor, labels: Tensor, k: int) -> float:
    """Share of samples whose label is among the k most probable classes.

    `mean_n [rank of y_n < k]`, the rank counting larger probabilities and equal ones of lower classes, so
    that ties do not depend on the sort. k = 1 is `accuracy`, k = K is 1. ValueError unless 1 <= k <= K.
    """
    probabilities, labels = check_predictions(probabilities, labels)
    num_classes = probabilities.shape[1]
    if not 1 <= k <= num_classes:
        raise ValueError(f"k must be in 1..{num_classes} (the number of classes), got {k}")
    own = probabilities.gather(1, labels[:, None])
    earlier = torch.arange(num_classes, device=labels.device) < labels[:, None]
    rank = ((probabilities > own) | ((probabilities == own) & earlier)).sum(1)
    return float((rank < k).double().mean())


def negative_log_likelihood(probabilities: Tensor, labels: Tensor) -> float:
    """Mean surprise of the labels, in nats.

    `-mean_n log p_{n, y_n}`; probabilities (N, K), labels (N,). Infinite where a label has probability 0:
    from logits, take `torch.nn.functional.cross_entropy`, which stays finite. Uniform probabilities give log
    K.
    """
    return float(weighted_nll(unit_weights(probabilities, labels)))


def brier_score(probabilities: Tensor, labels: Tensor) -> float:
    """Squared distance of the probabilities from the one-hot label.

    `mean_n sum_k (p_nk - [k = y_n])^2`, in 0..2 (sum over the classes, so twice the binary score for K = 2).
    Uniform probabilities give 1 - 1/K. Source: Brier (1950), Eq. 2.
    """
    return float(weighted_brier(unit_weights(probabilities, labels)))


def weighted_accuracy(sample: WeightedPredictions) -> Tensor:
    """`accuracy` under each weighting, (R,)."""
    return sample.mean(sample.predictions.correct)


def weighted_nll(sample: WeightedPredictions) -> Tensor:
    """`negative_log_likelihood` under each weighting, (R,)."""
    return sample.mean(-sample.predictions.own.log())


def weighted_brier(sample: WeightedPredictions) -> Tensor:
    """`brier_score` under each weighting, (R,)."""
    found = sample.predictions
    return sample.mean(found.squares - 2 * found.own + 1)
