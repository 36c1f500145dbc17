"""Standard training against torch; what holds for every method is in tests/contracts."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn
from torch.nn import functional

from vsmooth.data import Batch
from vsmooth.head import add_virtual_classes
from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses import LabelObjective
from vsmooth.methods import Standard

CLASSES = 3
SCHEMES = (OneHot(), LabelSmoothing(0.2), VirtualSmoothing(0.2), VirtualSmoothing(0.4, num_virtual=2))


def make_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(12) % CLASSES
    images = torch.rand(12, 1, 4, 4, generator=generator) * 0.5 + labels[:, None, None, None] / 6
    return Batch(images, labels)


def make_network(scheme: LabelScheme, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))
    virtual = scheme.width(CLASSES) - CLASSES
    return add_virtual_classes(model, virtual) if virtual else model


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_standard_is_cross_entropy_with_the_schemes_labels(scheme: LabelScheme) -> None:
    model, batch = make_network(scheme), make_batch()
    found = Standard(LabelObjective(scheme), CLASSES).loss(model, batch).total
    soft = scheme.encode(batch.labels, CLASSES)
    torch.testing.assert_close(found, functional.cross_entropy(model(batch.images), soft))


def test_standard_crafts_nothing_and_is_a_value() -> None:
    method, batch = Standard(LabelObjective(OneHot()), CLASSES), make_batch()
    assert method.craft(make_network(OneHot()), batch) is batch
    assert method == Standard(LabelObjective(OneHot()), CLASSES)
    with pytest.raises(FrozenInstanceError):
        method.num_classes = 4  # type: ignore[misc]


def test_network_that_does_not_fit_the_labels() -> None:
    with pytest.raises(ValueError, match="logits have 3 classes, but virtual smoothing"):
        Standard(LabelObjective(VirtualSmoothing(0.2)), CLASSES).loss(make_network(OneHot()), make_batch())
