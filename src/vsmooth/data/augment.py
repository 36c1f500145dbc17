"""Random crop and flip of a whole batch of uint8 images in one gather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Pad by `crop_padding` pixels, crop back to the size at a random place, mirror with probability 1/2.

    Limits: `crop_padding=0, flip=False` leaves images as they are (`NO_AUGMENTATION`).
    Errors: ValueError for negative padding or an unknown padding mode.
    Source: He et al. 2016, "Deep Residual Learning", sec. 4.2 (there with zeros).
    """

    crop_padding: int = 4
    flip: bool = True
    padding_mode: Literal["reflect", "zeros"] = "reflect"

    def __post_init__(self) -> None:
        if self.crop_padding < 0:
            raise ValueError(f"crop_padding must be 0 or more pixels, got {self.crop_padding}")
        if self.padding_mode not in ("reflect", "zeros"):
            raise ValueError(f"padding_mode must be 'reflect' or 'zeros', got {self.padding_mode!r}")

    def check_fits(self, height: int, width: int) -> None:
        """Refuse images that the padding would swallow. Errors: ValueError."""
        if self.crop_padding >= min(height, width):
            raise ValueError(
                f"crop_padding={self.crop_padding} does not fit images of {height}x{width} pixels; "
                f"use at most {min(height, width) - 1}, or 0 for no crop"
            )


NO_AUGMENTATION = Augmentation(crop_padding=0, flip=False)


class Draws(NamedTuple):
    """The random part of one batch, drawn before the images are touched.

    offsets: (B, 2) int64, top and left corner of the crop in the padded image, 0..2 * crop_padding;
    flips: (B,) bool.
    """

    offsets: Tensor
    flips: Tensor

    def slice(self, part: slice) -> Draws:
        """The draws of some images of the batch."""
        return Draws(self.offsets[part], self.flips[part])

    def to(self, device: torch.device) -> Draws:
        """The same draws on `device`."""
        return Draws(self.offsets.to(device), self.flips.to(device))


def draw(augmentation: Augmentation, count: int, generator: torch.Generator) -> Draws:
    """Draw for `count` images. The number of draws does not depend on the settings."""
    offsets = torch.randint(0, 2 * augmentation.crop_padding + 1, (count, 2), generator=generator)
    flips = torch.rand(count, generator=generator) < 0.5
    return Draws(offsets, flips if augmentation.flip else torch.zeros_like(flips))


def augment(images: Tensor, draws: Draws, augmentation: Augmentation) -> Tensor:
    """(B, C, H, W) uint8 -> the same shape and dtype, cropped and flipped per image.

    out[b, :, y, x] = padded[b, :, top_b + y, left_b + x'], x' = W - 1 - x where image b is flipped, else x.
    """
    if augmentation == NO_AUGMENTATION:
        return images
    batch, channels, height, width = images.shape
    # One gather does padding, crop and flip; on a CPU it is twice as fast as padding and then slicing.
    rows = _source_positions(draws.offsets[:, 0], height, augmentation.crop_padding)
    columns = _source_positions(draws.offsets[:, 1], width, augmentation.crop_padding)
    columns = torch.where(draws.flips[:, None], columns.flip(1), columns)
    pixels = _reflect(rows, height)[:, :, None] * width + _reflect(columns, width)[:, None, :]
    index = pixels.reshape(batch, 1, height * width).expand(batch, channels, height * width)
    moved = images.reshape(batch, channels, height * width).gather(2, index).view(images.shape)
    if augmentation.padding_mode == "zeros":
        outside = _outside(rows, height)[:, :, None] | _outside(columns, width)[:, None, :]
        moved.masked_fill_(outside[:, None], 0)
    return moved


def _source_positions(offsets: Tensor, size: int, padding: int) -> Tensor:
    """(B,) crop corners in the padded image -> (B, size) positions in the image; 0..size-1 are inside."""
    return offsets[:, None] - padding + torch.arange(size, device=offsets.device)


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Mirror positions at the first and the last pixel, without repeating them: -1 -> 1, size -> size - 2."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()


def _outside(positions: Tensor, size: int) -> Tensor:
    return (positions < 0) | (positions >= size)
