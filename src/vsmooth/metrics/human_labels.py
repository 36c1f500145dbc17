"""Agreement of a model with the label distributions that people give, such as CIFAR-10H (Peterson et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from vsmooth.metrics.inputs import check_labels
from vsmooth.metrics.ranks import rank_correlation
from vsmooth.metrics.representation_inputs import check_labelled_logits, check_logits, class_means
from vsmooth.metrics.similarity import pair_values

LEAST_AGREEMENT = 0.5  # of CIFAR-10H's images 99 % have their label on top; of a permuted file about 1 in K


def human_distributions(human: Tensor, num_samples: int, num_classes: int) -> Tensor:
    """Counts or probabilities (N, K), floating point or integer, as distributions: float64 rows that sum to 1.

    ValueError for another length or width, negative or non-finite entries, and rows without a vote.
    """
    if human.ndim != 2 or human.dtype == torch.bool:
        raise ValueError(f"human labels must be (N, K) counts or probabilities, got shape {tuple(human.shape)}")
    if tuple(human.shape) != (num_samples, num_classes):
        raise ValueError(
            f"human labels are {tuple(human.shape)} but the predictions are ({num_samples}, {num_classes}): row i must "
            "be image i of the same split, in the same order, with the same classes"
        )
    human = human.double()
    total = human.sum(1)
    broken = ~human.isfinite().all(1) | (human < 0).any(1) | ~(total > 0)
    if broken.any():
        first = int(broken.nonzero()[0])
        raise ValueError(f"human labels of image {first} are no counts: negative, NaN or without a vote")
    return human / total[:, None]


def check_agreement(human: Tensor, labels: Tensor) -> None:
    """ValueError unless the class with most votes, human (N, K), is the label (N,) of at least half of the images.

    Labels of other images, in another order or with another numbering of the classes agree only by chance.
    """
    agreement = float((human.argmax(1) == labels.to(human.device)).double().mean())
    if agreement < LEAST_AGREEMENT:
        raise ValueError(
            f"human labels agree with the labels of {100 * agreement:.0f} % of the images, less than "
            f"{100 * LEAST_AGREEMENT:.0f} %: row i must be image i of the test split, in the same order, and column k "
            "class k"
        )


def human_divergence(logits: Tensor, human: Tensor) -> Tensor:
    """KL(human || model) of each image, (N,) float64 in nats: `sum_k h_k (log h_k - log p_k)`, p the softmax of (N, K).

    A class without human votes adds nothing. Limits: 0 where the two agree. Source: Peterson et al. (2019), Sec. 4,
    whose cross entropy this is, less the entropy of the human labels. ValueError for NaN or Inf and sizes that differ.
    """
    logits = check_logits(logits)
    human = human_distributions(human, *logits.shape).to(logits.device)
    log_model = logits.log_softmax(1)
    return (torch.special.xlogy(human, human) - human * log_model).sum(1).clamp(min=0)


def image_rank_correlation(logits: Tensor, human: Tensor, labels: Tensor) -> Tensor:
    """Spearman correlation, over the K - 1 wrong classes of each image, of logits and human votes: (N,) float64.

    The correct class is left out, since it is first for both and would hide the rest. Ties share their mean rank. NaN
    where all wrong classes have the same number of votes (no one erred) or the same logit. logits and human (N, K),
    K >= 3. ValueError for NaN or Inf and sizes that do not fit.
    """
    logits, labels = check_labelled_logits(logits, labels, least_classes=3)
    human = human_distributions(human, *logits.shape).to(logits.device)
    wrong = torch.ones_like(logits, dtype=torch.bool).scatter(1, labels[:, None], False)
    shape = len(logits), logits.shape[1] - 1
    return rank_correlation(logits[wrong].view(shape), human[wrong].view(shape))


def human_confusion(human: Tensor, labels: Tensor) -> Tensor:
    """(K, K) float64: row y is how the votes for wrong classes on images of class y are spread; diagonal 0.

    The human counterpart of `class_similarity`: rows sum to 1, but are 0 where no one erred and NaN for a class
    without images. ValueError as `human_distributions`, and for labels that do not fit.
    """
    num_classes = human.shape[-1]
    human = human_distributions(human, len(human), num_classes)
    labels = check_labels(labels, len(human), num_classes).to(human.device)
    wrong = class_means(human, labels, num_classes).fill_diagonal_(0.0)
    total = wrong.sum(1, keepdim=True)
    return torch.where(total == 0, wrong, wrong / total)


def pair_rank_correlation(model: Tensor, human: Tensor) -> float:
    """Spearman correlation of two class-pair matrices (K, K) over the unordered pairs of classes.

    Pairs with NaN in either are left out. ValueError for matrices of different shape and for fewer than three pairs.
    """
    if model.shape != human.shape:
        raise ValueError(f"class-pair matrices must have one shape, got {tuple(model.shape)} and {tuple(human.shape)}")
    first, second = pair_values(model.double()), pair_values(human.double())
    known = ~(first.isnan() | second.isnan())
    if int(known.sum()) < 3:
        raise ValueError(f"a rank correlation of {int(known.sum())} class pairs says nothing; it needs 3 or more")
    return float(rank_correlation(first[known][None], second[known][None])[0])
