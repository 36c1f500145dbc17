"""How much two maps of what a network looks at overlap."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cosine_similarity

from vsmooth.metrics.ranks import rank_correlation


@dataclass(frozen=True, eq=False)
class MapOverlap:
    """Overlap of the two maps of each image, (N,) float64."""

    cosine: Tensor  # in [0, 1]; NaN where a map is 0 everywhere
    rank: Tensor  # Spearman correlation over the pixels, in [-1, 1]; 0: no relation; NaN for a constant map


def saliency(gradients: Tensor) -> Tensor:
    """Gradients (N, C, H, W) to maps (N, H, W), float64: the sum of |g| over the channels.

    Source: Simonyan et al. (2014), Sec. 3, who take the largest channel. ValueError for other shapes, NaN and Inf.
    """
    if gradients.ndim != 4 or not gradients.is_floating_point():
        raise ValueError(f"gradients must be floating point (N, C, H, W), got {tuple(gradients.shape)}")
    broken = ~gradients.isfinite().flatten(1).all(1)
    if broken.any():
        raise ValueError(f"the gradient of image {int(broken.nonzero()[0])} holds NaN or Inf")
    return gradients.double().abs().sum(1)


def map_overlap(first: Tensor, second: Tensor) -> MapOverlap:
    """Cosine and rank correlation of the `saliency` of two sets of gradients (N, C, H, W) of the same images.

    The rank correlation is the number to read: maps without a negative entry have a large
    cosine anyway, 0.84 for independent Gaussian gradients of three channels.
    Source: Adebayo et al. (2018), "Sanity checks for saliency maps", Sec. 3 (Spearman of absolute values). ValueError
    for different shapes, NaN and Inf.
    """
    if first.shape != second.shape:
        raise ValueError(f"maps must have one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
    x, y = saliency(first).flatten(1), saliency(second).flatten(1)
    cosine = cosine_similarity(x, y, dim=1)
    empty = (x == 0).all(1) | (y == 0).all(1)
    return MapOverlap(cosine.masked_fill(empty, float("nan")), rank_correlation(x, y))
