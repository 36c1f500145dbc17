"""What the logits and the templates say about which classes are alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsmooth.metrics.inputs import check_predictions
from vsmooth.metrics.representation_inputs import check_labelled_logits, check_points, class_means


@dataclass(frozen=True)
class LogitSpread:
    """How far the wrong-class logits are from being all equal, in logits; `total^2 = within^2 + across^2`.

    `relative` sets the total against the gap by which the correct class leads, because labels differ in the scale of
    the logits that they ask for.
    """

    within: float  # between samples of a class, at the same wrong class: what one image says that its class does not
    across: float  # between the wrong classes of a class, in the mean over its samples: which classes are alike
    total: float
    gap: float  # mean over samples of the correct logit minus the mean wrong one

    @property
    def relative(self) -> float:
        """total / gap, no unit; NaN or negative where the correct class does not lead on average."""
        return self.total / self.gap if self.gap else float("nan")


def wrong_logit_spread(logits: Tensor, labels: Tensor) -> LogitSpread:
    """Standard deviation of the K - 1 wrong-class logits, split into within and across.

    `u_nj = z_nj - mean_{j' != y} z_nj'` for the wrong classes j of sample n. Over the samples and wrong classes of
    each class, `total^2 = E[u^2]`, `across^2 = E_j[(E_n u_nj)^2]` and `within^2` the rest; then the mean over the
    classes that occur. logits (N, K) of the real classes, K >= 3; labels (N,). Limits: 0 where all wrong logits are
    equal, which is what label smoothing asks for (Mueller, Kornblith and Hinton 2019, Sec. 2; the paper's Sec. 3.2).
    A shift of all logits of a sample changes nothing. ValueError for NaN or Inf, K < 3 and labels that do not fit.
    """
    logits, labels = check_labelled_logits(logits, labels, least_classes=3)
    num_classes = logits.shape[1]
    own = logits.gather(1, labels[:, None])
    mean_wrong = (logits.sum(1, keepdim=True) - own) / (num_classes - 1)
    centred = (logits - mean_wrong).scatter(1, labels[:, None], 0.0)
    squares = class_means(centred.square(), labels, num_classes), class_means(centred, labels, num_classes).square()
    total, across = (square.sum(1).div(num_classes - 1).nanmean() for square in squares)
    return LogitSpread(
        within=float((total - across).clamp(min=0).sqrt()),
        across=float(across.sqrt()),
        total=float(total.sqrt()),
        gap=float((own - mean_wrong).mean()),
    )


def class_similarity(logits: Tensor, labels: Tensor) -> Tensor:
    """(K, K) float64: row y is the mean, over samples of class y, of the softmax over the wrong classes alone.

    `s_yj = mean_{n: y_n = y} exp(z_nj) / sum_{j' != y} exp(z_nj')`, diagonal 0. Rows sum to 1 whatever the confidence
    of the correct class, so labels with different confidence compare; NaN for a class without samples. Limits:
    1 / (K - 1) off the diagonal where all wrong logits are equal. ValueError as `wrong_logit_spread`.
    """
    logits, labels = check_labelled_logits(logits, labels, least_classes=3)
    wrong = logits.scatter(1, labels[:, None], -torch.inf).softmax(1)
    return class_means(wrong, labels, logits.shape[1])


def mean_confusion(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(K, K) float64: row y is the mean probability vector of the samples of class y; NaN for a class without samples.

    The confusion matrix, with probabilities in the place of votes. ValueError for inputs that are not probabilities and
    labels.
    """
    probabilities, labels = check_predictions(probabilities, labels)
    return class_means(probabilities, labels, probabilities.shape[1])


def template_cosine(templates: Tensor) -> Tensor:
    """(K, K) float64 cosines between the classifier's rows (K, D), about their mean; diagonal 1.

    About their mean, since adding one vector to all rows leaves the softmax over them as it is. Limits: -1 / (K - 1)
    off the diagonal for a regular simplex, which says that no two classes are more alike than others. ValueError for
    K < 3, NaN or Inf, and rows that are all equal.
    """
    templates = check_points(templates, "templates", least=3)
    centred = templates - templates.mean(0)
    lengths = centred.norm(dim=1, keepdim=True)
    if not (lengths > 0).all():
        raise ValueError("a template equals the mean of all, so it has no direction")
    unit = centred / lengths
    return (unit @ unit.T).fill_diagonal_(1.0)


def pair_values(matrix: Tensor) -> Tensor:
    """(K (K - 1) / 2,) values of the unordered pairs of classes: the upper triangle of `(M + M^T) / 2`."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a class-pair matrix must be square, got shape {tuple(matrix.shape)}")
    rows, columns = torch.triu_indices(len(matrix), len(matrix), offset=1)
    return ((matrix + matrix.T) / 2)[rows, columns]
