"""Probabilities of a label-smoothed network, rescaled to the whole of [0, 1]."""

from __future__ import annotations

from torch import Tensor

from vsmooth.metrics.inputs import check_probabilities


def normalised_label_smoothing_probabilities(probabilities: Tensor) -> Tensor:
    """Normalised LS: each sample's smallest probability taken off all of its classes, the rest rescaled to sum 1.

    `q_k = (p_k - min_j p_j) / (1 - K min_j p_j)`; probabilities (N, K), result (N, K) float64. The label
    smoothing target itself becomes one-hot; the order of the classes stays. Uniform rows, which hold nothing
    but their minimum, stay uniform. ValueError for inputs that are not probabilities. Source: the virtual
    smoothing paper, Sec. B.
    """
    probabilities = check_probabilities(probabilities)
    excess = probabilities - probabilities.amin(1, keepdim=True)
    total = excess.sum(1, keepdim=True)
    return (excess / total).where(total > 0, 1 / probabilities.shape[1])
