"""Labelled images in memory: uint8 tensors, checked once when they are created."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

CHUNK = 1024
DIGEST_BYTES = 16


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and their class indices, all of one size.

    images: (N, C, H, W) uint8 in 0..255 with C = 1 (grey) or 3 (RGB); labels: (N,) int64; both on one device.
    Errors: ValueError for another dtype or shape and for an empty set.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8 in 0..255, got {_name(images.dtype)}; for floats in [0, 1] use "
                "(255 * images).round().to(torch.uint8)"
            )
        if images.dim() != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be (N, C, H, W) with C = 1 or 3, got shape {tuple(images.shape)}")
        if images.numel() == 0:
            raise ValueError(
                f"images are empty (shape {tuple(images.shape)}); a set needs at least one image"
            )
        if labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be int64 class indices, got {_name(labels.dtype)}; use labels.long()"
            )
        if labels.shape != images.shape[:1]:
            raise ValueError(
                f"{len(images)} images need labels of shape ({len(images)},), got {tuple(labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> ImageSet:
        """The samples at `indices` (int64), in that order."""
        indices = indices.to(self.labels.device)
        return ImageSet(self.images[indices], self.labels[indices])

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set on `device`; nothing is copied if it is there already."""
        return ImageSet(self.images.to(device), self.labels.to(device))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def histograms(self) -> Tensor:
        """(C, 256) counts of each grey level over all pixels."""
        return channel_histograms(self.images)

    @cached_property
    def digests(self) -> list[bytes]:
        """For each image a digest of its pixels."""
        pixels = self.images.cpu().contiguous().flatten(1).numpy()
        return [blake2b(image, digest_size=DIGEST_BYTES).digest() for image in pixels]

    def identity(self) -> Iterator[Any]:
        """What a fingerprint hashes, in buffers: shape, pixels, labels."""
        yield str(tuple(self.images.shape)).encode()
        for tensor in (self.images, self.labels):
            yield tensor.cpu().contiguous().numpy().data


def channel_histograms(images: Tensor) -> Tensor:
    """(N, C, H, W) uint8 -> (C, 256) counts of each grey level, on the CPU."""
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for start in range(0, len(images), CHUNK):
        for channel, pixels in enumerate(images[start : start + CHUNK].unbind(dim=1)):
            counts[channel] += pixels.flatten().bincount(minlength=256).cpu()
    return counts


def check_images(images: Tensor) -> None:
    """ValueError unless the images are floating point (N, C, H, W) in [0, 1]."""
    if images.ndim != 4 or not images.is_floating_point():
        found = f"{tuple(images.shape)} of {images.dtype}"
        raise ValueError(f"images must be floating point (N, C, H, W) in [0, 1], got {found}")
    if images.numel() == 0:
        raise ValueError(f"images are empty: shape {tuple(images.shape)}")
    low, high = (float(bound) for bound in images.aminmax())
    # Written so that NaN, for which every comparison is false, also lands here.
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images must lie in [0, 1], got {low:.4g} to {high:.4g}; the model normalises")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
