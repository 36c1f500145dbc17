"""Every training method keeps the contract of `Method`; the standard one against torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn
from torch.nn import functional

from vsmooth.data import Batch
from vsmooth.head import add_virtual_classes
from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses import LabelObjective
from vsmooth.methods import Distill, Loss, Method, NetworkTeacher, Standard

CLASSES = 3
SCHEMES = (OneHot(), LabelSmoothing(0.2), VirtualSmoothing(0.2), VirtualSmoothing(0.4, num_virtual=2))
# A new method needs a line here; the test below finds those without one.
MAKERS: dict[type[Method], Callable[[LabelScheme], Method]] = {
    Standard: lambda scheme: Standard(LabelObjective(scheme), CLASSES),
    Distill: lambda scheme: Distill(
        NetworkTeacher(make_network(OneHot(), 1), CLASSES), LabelObjective(scheme), CLASSES, gamma=0.5
    ),
}


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


def test_every_method_of_the_library_is_tested() -> None:
    own = {kind for kind in Method.__subclasses__() if kind.__module__.startswith("vsmooth.")}
    assert own == MAKERS.keys()


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("kind", MAKERS)
def test_a_few_steps_lower_the_loss(kind: type[Method], scheme: LabelScheme) -> None:
    method, model, batch = MAKERS[kind](scheme), make_network(scheme), make_batch()
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    losses = []
    for _ in range(10):
        loss = method.loss(model, method.craft(model, batch))
        assert isinstance(loss, Loss)
        assert loss.total.shape == ()
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("kind", MAKERS)
def test_crafting_leaves_no_weight_gradient_and_keeps_the_batch(kind: type[Method]) -> None:
    method, model, batch = MAKERS[kind](OneHot()), make_network(OneHot()), make_batch()
    before = batch.images.clone()
    method.craft(model, batch)
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(batch.images, before)


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
