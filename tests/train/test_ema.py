"""The moving average of the weights; its course over a training is in test_loop.py."""

from __future__ import annotations

import torch
from torch import nn

from vsmooth.train.ema import WeightAverage


def test_average_copies_buffers_and_can_be_off() -> None:
    model = nn.BatchNorm1d(2)
    average = WeightAverage.of(model, 0.75)
    assert average.model is not None
    model(torch.randn(8, 2))
    with torch.no_grad():
        model.weight.fill_(5.0)
    average.update(model)
    assert torch.equal(average.model.weight, torch.full((2,), 2.0))  # 0.75 * 1 + 0.25 * 5
    assert torch.equal(average.model.running_mean, model.running_mean)
    off = WeightAverage.of(model, None)
    off.update(model)
    assert off.model is None


def test_average_wants_no_gradient_and_does_not_share_memory() -> None:
    model = nn.Linear(2, 2)
    average = WeightAverage.of(model, 0.5)
    assert average.model is not None
    assert not any(p.requires_grad for p in average.model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    with torch.no_grad():
        model.weight.zero_()
    assert average.model.weight.abs().sum() > 0
