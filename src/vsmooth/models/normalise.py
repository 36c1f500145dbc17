"""Normalisation as a layer of the model, so that all other code handles images in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """`(x - mean) / std` per channel, for images (N, C, H, W) in [0, 1].

    mean and std are in [0, 1] units and travel with the state dict. ValueError for std <= 0, for values that
    are not finite or of unequal number, and for images with another number of channels. mean 0 and std 1 is
    the identity.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        mean, std = [float(value) for value in mean], [float(value) for value in std]
        if not mean or len(mean) != len(std):
            raise ValueError(f"mean and std need one value per channel, got {len(mean)} and {len(std)}")
        if not all(map(math.isfinite, mean + std)) or min(std) <= 0:
            raise ValueError(f"mean must be finite and std finite and positive, got mean {mean}, std {std}")
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        channels = self.mean.shape[1]
        if images.ndim != 4 or images.shape[1] != channels:
            raise ValueError(f"the model takes images (N, {channels}, H, W), got shape {tuple(images.shape)}")
        return (images - self.mean) / self.std

    def extra_repr(self) -> str:
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


class NormalisedModel(nn.Module):
    """`network(normalise(images))`: the whole map from images in [0, 1] to logits."""

    def __init__(self, normalise: Normalise, network: nn.Module) -> None:
        super().__init__()
        self.normalise = normalise
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(self.normalise(images))
        return logits
