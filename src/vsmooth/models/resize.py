"""Resizing of images of any size to the size that a network was trained on."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Resized(nn.Module):
    """``network(resize(images))``: bilinear and antialiased, so values stay in [0, 1]; images of the size as they are.

    size: (H, W) in pixels. ValueError for a side below 1.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        if min(size) < 1:
            raise ValueError(f"size must be at least 1 pixel a side, got {size}")
        self.network, self.size = network, size

    def forward(self, images: Tensor) -> Tensor:
        if tuple(images.shape[-2:]) != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True)
        logits: Tensor = self.network(images)
        return logits
