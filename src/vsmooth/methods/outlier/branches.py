"""One forward pass over both parts of a batch, so that each part of the loss is a mean over its own branch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsmooth.bounds import check_most
from vsmooth.data import Batch

_HEAVIEST = 1_000_000


def both_logits(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits of the images of the classes and of the outliers, from one forward pass over both.

    BatchNorm sees them together, as in the sources: passes of their own would normalise each by itself. ValueError for
    a batch without outliers.
    """
    if batch.extra is None:
        raise ValueError("the batch has no outliers: give them as its second part (vsmooth.data.Paired)")
    logits = model(torch.cat([batch.images, batch.extra.images]))
    inside, outside = logits.split([len(batch.images), len(batch.extra.images)])
    return inside, outside


def check_weight(weight: float) -> None:
    """Raise ``ValueError`` for a weight of the outliers that is negative or beyond any use."""
    if not weight >= 0:
        raise ValueError(f"the weight of the outliers' loss must be 0 or more, got {weight}")
    check_most("the weight of the outliers' loss", weight, _HEAVIEST, "no training survives such gradients")
