"""Normalisation as a layer: the formula, its place in the state dict, and bad statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vsmooth.models import Normalise, NormalisedModel


def test_by_hand() -> None:
    layer = Normalise((0.5, 0.25), (0.5, 0.125))
    images = torch.tensor([1.0, 0.5]).view(1, 2, 1, 1).expand(2, 2, 3, 3)
    out = layer(images)
    assert torch.equal(out[:, 0], torch.full((2, 3, 3), 1.0))
    assert torch.equal(out[:, 1], torch.full((2, 3, 3), 2.0))


def test_mean_0_and_std_1_is_the_identity() -> None:
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(Normalise((0, 0, 0), (1, 1, 1))(images), images)


def test_statistics_travel_with_the_state_dict() -> None:
    model = NormalisedModel(Normalise((0.1,), (0.2,)), nn.Flatten())
    other = NormalisedModel(Normalise((0.0,), (1.0,)), nn.Flatten())
    other.load_state_dict(model.state_dict())
    images = torch.rand(3, 1, 2, 2)
    assert torch.equal(other(images), model(images))
    assert not list(model.parameters())


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.5, 0.5), (1.0,), "one value per channel, got 2 and 1"),
        ((), (), "one value per channel, got 0 and 0"),
        ((0.5,), (0.0,), r"std finite and positive, got mean \[0.5\], std \[0.0\]"),
        ((0.5,), (-1.0,), "std finite and positive"),
        ((float("nan"),), (1.0,), "mean must be finite"),
        ((0.5,), (float("inf"),), "std finite"),
    ],
)
def test_bad_statistics_are_named(mean: tuple[float, ...], std: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Normalise(mean, std)


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (3, 4, 4)])
def test_images_of_another_shape_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes images \(N, 3, H, W\), got shape"):
        Normalise((0, 0, 0), (1, 1, 1))(torch.rand(shape))
