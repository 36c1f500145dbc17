"""Bringing images of any size and colour to those of a network, by one rule, which is told in words."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"


def reshape_images(images: Iterable[Tensor], shape: tuple[int, int, int]) -> tuple[Tensor, str]:
    """Images (C', H', W') uint8, each of its own size, as (N, C, H, W) uint8, and what was done, in words.

    Colour: grey becomes RGB by repetition, RGB grey by its luma. Size: where it differs, the image is scaled, bilinear
    and antialiased, until it covers H x W, and the centre is cut out. ValueError for no images.
    """
    found: list[Tensor] = []
    sizes: dict[tuple[int, int], None] = {}
    colours: dict[str, None] = {}
    for image in images:
        sizes[tuple(image.shape[1:])] = None  # type: ignore[index]
        found.append(_resized(_coloured(image, shape[0], colours), shape[1:]))
    if not found:
        raise ValueError("there are no images")
    return torch.stack(found), _words(list(sizes), shape[1:], list(colours))


def _coloured(image: Tensor, channels: int, colours: dict[str, None]) -> Tensor:
    if len(image) == channels:
        return image
    if channels == 3:
        colours["grey to RGB"] = None
        return image.expand(3, -1, -1)
    if torch.equal(image[0], image[1]) and torch.equal(image[0], image[2]):
        return image[:1]
    colours["RGB to grey by luma"] = None
    luma = sum(weight * channel.float() for weight, channel in zip(_LUMA, image, strict=True))
    return torch.as_tensor(luma).round().to(torch.uint8)[None]


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(image.shape[1:]) == size:
        return image
    scale = max(wanted / own for wanted, own in zip(size, image.shape[1:], strict=True))
    covering = tuple(max(w, round(scale * own)) for w, own in zip(size, image.shape[1:], strict=True))
    scaled = functional.interpolate(image[None].float(), covering, mode="bilinear", antialias=True)[0]
    top, left = ((own - wanted) // 2 for own, wanted in zip(covering, size, strict=True))
    return scaled[:, top : top + size[0], left : left + size[1]].round().clamp(0, 255).to(torch.uint8)


def _words(sizes: list[tuple[int, int]], wanted: tuple[int, int], colours: list[str]) -> str:
    done = list(colours)
    others = [size for size in sizes if size != wanted]
    if others:
        whence = _size(others[0]) if len(sizes) == 1 else f"{len(sizes)} sizes"
        done.append(f"{whence} to {_size(wanted)}: scaled to cover it (bilinear, antialiased), centre cut out")
    return "; ".join(done) or "as they are"


def _size(size: tuple[int, int]) -> str:
    height, width = size
    return f"{width}x{height}"
