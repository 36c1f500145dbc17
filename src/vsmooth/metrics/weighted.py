"""Predictions whose samples carry weights: a metric is a function of them, so one pass serves a bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vsmooth.metrics.binning import equal_width_edges, equal_width_index, top_label
from vsmooth.metrics.inputs import check_predictions


@dataclass(frozen=True, eq=False)
class BinSums:
    """Weighted sums in each bin under R weightings: (B, R) for the top label, (B, K, R) for every class."""

    counts: Tensor  # weight
    scores: Tensor  # weight * probability
    events: Tensor  # weight * (1 where what the probability is of came true, else 0)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Samples by rising confidence; ties form one group, so that their order never matters."""

    order: Tensor  # (N,)
    gaps: Tensor  # (N,) correct - confidence, in that order
    ends: Tensor  # (G,) position of each group's last sample


class CheckedPredictions:
    """Checked predictions (N, K) and labels (N,), and what metrics need of them whatever the weights."""

    def __init__(self, probabilities: Tensor, labels: Tensor) -> None:
        self.probabilities, self.labels = check_predictions(probabilities, labels)
        self.confidence, self.correct = top_label(self.probabilities, self.labels)
        self.own = self.probabilities.gather(1, self.labels[:, None]).squeeze(1)
        self._top_label: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self._classes: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    @cached_property
    def squares(self) -> Tensor:
        """sum_k p_nk^2, (N,)."""
        return torch.linalg.vector_norm(self.probabilities, dim=1).square()

    @cached_property
    def ranking(self) -> Ranking:
        confidence, order = self.confidence.sort()
        sizes = torch.unique_consecutive(confidence, return_counts=True)[1]
        return Ranking(order, self.correct[order] - confidence, sizes.cumsum(0) - 1)

    def top_label_matrices(self, bins: int) -> tuple[Tensor, Tensor, Tensor]:
        """Sparse (B, N) matrices that turn weights into the counts, scores and events of each bin."""
        if bins not in self._top_label:
            index, samples = equal_width_index(self.confidence, bins), self._samples
            columns = torch.ones_like(self.confidence), self.confidence, self.correct
            count, score, event = (self._matrix(index, samples, values, bins) for values in columns)
            self._top_label[bins] = count, score, event
        return self._top_label[bins]

    def class_matrices(self, bins: int) -> tuple[Tensor, Tensor, Tensor]:
        """Sparse (B K, N) matrices of every class's bins; those of counts and scores leave out the first bin.

        The first bin holds nearly everything: fewer than B of a sample's probabilities exceed 1/B, as they
        sum to 1. What it holds is the total less the rest.
        """
        if bins not in self._classes:
            num_classes = self.probabilities.shape[1]
            # Only what is above the first edge is looked up: an index of every probability would take 8 bytes each.
            edge = float(equal_width_edges(bins)[1]) if bins > 1 else torch.inf
            samples, classes = (self.probabilities > edge).nonzero(as_tuple=True)
            values = self.probabilities[samples, classes]
            cells = equal_width_index(values, bins) * num_classes + classes
            labelled = equal_width_index(self.own, bins) * num_classes + self.labels
            size = bins * num_classes
            self._classes[bins] = (
                self._matrix(cells, samples, torch.ones_like(values), size),
                self._matrix(cells, samples, values, size),
                self._matrix(labelled, self._samples, torch.ones_like(self.own), size),
            )
        return self._classes[bins]

    @property
    def _samples(self) -> Tensor:
        return torch.arange(len(self.labels), device=self.labels.device)

    def _matrix(self, cells: Tensor, samples: Tensor, values: Tensor, size: int) -> Tensor:
        shape = (size, len(self.labels))
        return torch.sparse_coo_tensor(torch.stack([cells, samples]), values, shape, check_invariants=True).coalesce()


class WeightedPredictions:
    """Predictions under R weightings (N, R) of their samples; sums are made once for each number of bins."""

    def __init__(self, predictions: CheckedPredictions, weights: Tensor) -> None:
        self.predictions, self.weights = predictions, weights
        self.total = weights.sum(0)  # (R,)
        self._top_label: dict[int, BinSums] = {}
        self._classes: dict[int, BinSums] = {}

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean (R,) of values (N,), which may be infinite where the weight is 0."""
        finite = values.isfinite()
        found = values.where(finite, 0.0) @ self.weights / self.total
        return found if finite.all() else found.masked_fill((~finite).double() @ self.weights > 0, torch.inf)

    def top_label(self, bins: int) -> BinSums:
        """Sums in equal-width bins of the confidence; `events` are right predictions."""
        if bins not in self._top_label:
            matrices = self.predictions.top_label_matrices(bins)
            self._top_label[bins] = BinSums(*(torch.sparse.mm(matrix, self.weights) for matrix in matrices))
        return self._top_label[bins]

    def classes(self, bins: int) -> BinSums:
        """Sums in equal-width bins of every class's probability; `events` are labels of the class."""
        if bins not in self._classes:
            shape = (bins, self.predictions.probabilities.shape[1], len(self.total))
            matrices = self.predictions.class_matrices(bins)
            counts, scores, events = (torch.sparse.mm(matrix, self.weights).view(shape) for matrix in matrices)
            counts[0] = self.total - counts.sum(0)
            scores[0] = self.predictions.probabilities.T @ self.weights - scores.sum(0)
            self._classes[bins] = BinSums(counts, scores, events)
        return self._classes[bins]


Metric = Callable[[WeightedPredictions], Tensor]  # a value (R,) for each weighting


def unit_weights(probabilities: Tensor, labels: Tensor) -> WeightedPredictions:
    """Predictions whose samples all weigh 1, R = 1: a metric of them is its plain value."""
    predictions = CheckedPredictions(probabilities, labels)
    return WeightedPredictions(predictions, torch.ones_like(predictions.own)[:, None])
