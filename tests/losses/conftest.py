from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vsmooth import LabelScheme

DenseLoss = Callable[[Tensor, Tensor, LabelScheme, int], Tensor]


def _dense(logits: Tensor, targets: Tensor, scheme: LabelScheme, num_classes: int) -> Tensor:
    if logits.ndim == 1:
        return _dense(logits[None], targets[None], scheme, num_classes)[0]
    rows = logits.double().movedim(1, -1)
    soft = targets.movedim(1, -1) if targets.is_floating_point() else F.one_hot(targets, num_classes)
    encoded = scheme.encode(soft.double().reshape(-1, num_classes), num_classes)
    return F.cross_entropy(rows.reshape(len(encoded), -1), encoded, reduction="none").reshape(rows.shape[:-1])


@pytest.fixture
def dense_loss() -> DenseLoss:
    """The loss of every row from torch's cross entropy against the encoded labels, in float64."""
    return _dense


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)
