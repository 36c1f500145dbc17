"""Augmentation of training images; padded crop and flip of a whole batch of uint8 images in one gather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vsmooth.bounds import check_count

_MOST_PADDING, _MOST_OPERATIONS = 4096, 100


@dataclass(frozen=True)
class Augmentation:
    """Random views of a training image: crop, flip, then RandAugment, then erasing.

    The crop is either padded (He et al. 2016, "Deep Residual Learning", sec. 4.2, there with zeros) or resized
    (Szegedy et al. 2015, "Going Deeper with Convolutions", sec. 6). RandAugment: Cubuk et al. 2020. Erasing: Zhong
    et al. 2020. Resized crop, RandAugment and erasing are those of torchvision v2, applied image by image.
    Limits: `crop_padding=0, flip=False` with no other option leaves images unchanged (`NO_AUGMENTATION`).
    Errors: ValueError for values out of range, and for a padded and a resized crop together.
    """

    crop_padding: int = 4
    """number of pixels to pad on each side before a random crop to the original size; 0: no padded crop"""
    flip: bool = True
    """flip horizontally with probability 1/2"""
    padding_mode: Literal["reflect", "zeros"] = "reflect"
    """content of the padding: the mirrored image, or zeros (black)"""
    resized_crop: tuple[float, float] | None = None
    """smallest and largest share of the image's area in a random crop, which is resized; needs --crop-padding 0"""
    rand_augment: tuple[int, int] | None = None
    """RandAugment: number of operations and their magnitude in 0..30 (most papers: 2 and 9)"""
    erasing: float = 0.0
    """random erasing: probability of painting a random rectangle black"""

    def __post_init__(self) -> None:
        for name in ("resized_crop", "rand_augment"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))  # a record holds lists
        if self.crop_padding < 0:
            raise ValueError(f"crop_padding must be 0 or more pixels, got {self.crop_padding}")
        check_count("crop_padding", self.crop_padding, 0, _MOST_PADDING, "images are smaller")
        if self.padding_mode not in ("reflect", "zeros"):
            raise ValueError(f"padding_mode must be 'reflect' or 'zeros', got {self.padding_mode!r}")
        if not 0 <= self.erasing <= 1:
            raise ValueError(f"erasing must be a probability in 0..1, got {self.erasing}")
        self._check_resized_crop()
        self._check_rand_augment()

    def _check_resized_crop(self) -> None:
        if self.resized_crop is None:
            return
        if len(self.resized_crop) != 2 or not 0 < self.resized_crop[0] <= self.resized_crop[1] <= 1:
            raise ValueError(
                "resized_crop must be two shares of the image's area, 0 < low <= high <= 1, such as (0.08, 1.0); "
                f"got {self.resized_crop}"
            )
        if self.crop_padding:
            raise ValueError(
                f"resized_crop={self.resized_crop} and crop_padding={self.crop_padding} are two kinds of crop; "
                "set crop_padding=0"
            )

    def _check_rand_augment(self) -> None:
        value = self.rand_augment
        if value is not None and (len(value) != 2 or value[0] < 1 or not 0 <= value[1] <= 30):
            raise ValueError(
                "rand_augment must be the number of operations (1 or more) and their magnitude (0..30), such as "
                f"(2, 9); got {value}"
            )
        if value is not None:
            why = "each takes its time for every image"
            check_count("the number of operations of rand_augment", value[0], 1, _MOST_OPERATIONS, why)

    @property
    def moves(self) -> bool:
        """Whether `augment` does anything: a padded crop or a flip is on."""
        return self.crop_padding > 0 or self.flip

    def check_fits(self, height: int, width: int) -> None:
        """Check that the padding is smaller than the image. Errors: ValueError."""
        if self.crop_padding >= min(height, width):
            raise ValueError(
                f"crop_padding={self.crop_padding} does not fit images of {height}x{width} pixels; "
                f"use at most {min(height, width) - 1}, or 0 for no crop"
            )


NO_AUGMENTATION = Augmentation(crop_padding=0, flip=False)


class Draws(NamedTuple):
    """The random numbers of one batch, drawn before the images are changed.

    offsets: (B, 2) int64, top and left edge of the crop in the padded image, 0..2 * crop_padding;
    flips: (B,) bool.
    """

    offsets: Tensor
    flips: Tensor

    def slice(self, part: slice) -> Draws:
        """The draws of some images of the batch."""
        return Draws(self.offsets[part], self.flips[part])

    def at(self, indices: Tensor) -> Draws:
        """The draws of the images at `indices`."""
        return Draws(self.offsets[indices], self.flips[indices])

    def to(self, device: torch.device) -> Draws:
        """The same draws on `device`."""
        return Draws(self.offsets.to(device), self.flips.to(device))


def draw(augmentation: Augmentation, count: int, generator: torch.Generator) -> Draws:
    """Draw the crops and flips of `count` images. The number of draws does not depend on the settings."""
    offsets = torch.randint(0, 2 * augmentation.crop_padding + 1, (count, 2), generator=generator)
    flips = torch.rand(count, generator=generator) < 0.5
    return Draws(offsets, flips if augmentation.flip else torch.zeros_like(flips))


def augment(images: Tensor, draws: Draws, augmentation: Augmentation) -> Tensor:
    """(B, C, H, W) uint8 -> the same shape and dtype, cropped and flipped per image.

    out[b, :, y, x] = padded[b, :, top_b + y, left_b + x'], x' = W - 1 - x where image b is flipped, else x.
    """
    if not augmentation.moves:
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
