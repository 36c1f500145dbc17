"""Outliers made on the spot, which need no download: noise, textures, and pictures of the classes taken apart."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor
from torch.nn import functional

from vsmooth.data.seeds import seed_of
from vsmooth.data.storage.images import ImageSet

NAME = "synthetic"
UNLABELLED = -1
_TILES = 4  # a jigsaw's tiles along a side, where the image has as many pixels


def is_synthetic(source: str) -> bool:
    """Whether a source's name asks for images that are made: "synthetic", or "synthetic:KIND"."""
    return source.partition(":")[0] == NAME


def make_outliers(source: str, base: ImageSet, count: int, seed: int = 0) -> ImageSet:
    """`count` outliers of the shape of `base`, whose images jigsaws and blends are made of; all labels are -1.

    source: "synthetic" (all kinds in turn) or "synthetic:noise", "synthetic:texture", "synthetic:jigsaw",
    "synthetic:blend". Image i depends on (kind, seed, i) and `base` alone.
    ValueError for another kind (with the nearest) and a count below 1.
    """
    kinds = _kinds(source)
    if count < 1:
        raise ValueError(f"{source} needs a number of images of at least 1, got {count}")
    images = torch.empty((count, *base.image_shape), dtype=torch.uint8)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        generator = Generator().manual_seed(seed_of(f"synthetic {kind}", seed, index))
        images[index] = KINDS[kind](base, generator).mul(255).round_().clamp_(0, 255).to(torch.uint8)
    return ImageSet(images, torch.full((count,), UNLABELLED))


def _kinds(source: str) -> tuple[str, ...]:
    _, colon, kind = source.partition(":")
    if not colon:
        return tuple(KINDS)
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {NAME}:{near[0]}? " if near else ""
        raise ValueError(f"unknown outliers {source!r}; {hint}there are {', '.join(f'{NAME}:{one}' for one in KINDS)}")
    return (kind,)


def _noise(base: ImageSet, generator: Generator) -> Tensor:
    """Uniform, normal or two-valued noise, of one pixel or of blocks, in colour or grey."""
    channels, height, width = base.image_shape
    block = 2 ** int(torch.randint(3, (), generator=generator))
    own = channels if _flip(generator) else 1
    shape = 1, own, max(1, height // block), max(1, width // block)
    kind = int(torch.randint(3, (), generator=generator))
    if kind == 0:
        values = torch.rand(shape, generator=generator)
    elif kind == 1:
        values = 0.5 + 0.25 * torch.randn(shape, generator=generator)
    else:
        values = torch.randint(2, shape, generator=generator).float()
    return functional.interpolate(values, (height, width))[0].expand(channels, -1, -1)


def _texture(base: ImageSet, generator: Generator) -> Tensor:
    """Random phases under a spectrum 1/f^b, or stripes and checks of some direction, between two random colours."""
    channels, height, width = base.image_shape
    pattern = (_cloud if _flip(generator) else _stripes)(height, width, generator)
    low, high = torch.rand((2, channels, 1, 1), generator=generator)
    return low + (high - low) * pattern


def _cloud(height: int, width: int, generator: Generator) -> Tensor:
    steepness = 0.5 + 2 * torch.rand((), generator=generator)
    frequency = (torch.fft.fftfreq(height)[:, None].square() + torch.fft.rfftfreq(width).square()).sqrt()
    spectrum = torch.fft.rfft2(torch.randn((height, width), generator=generator))
    spectrum = spectrum / frequency.clamp(min=1 / max(height, width)) ** steepness
    pattern = torch.fft.irfft2(spectrum, s=(height, width))
    return (pattern - pattern.min()) / (pattern.max() - pattern.min()).clamp(min=1e-6)


def _stripes(height: int, width: int, generator: Generator) -> Tensor:
    period = 3 + torch.rand((), generator=generator) * max(height, width) / 2
    angle = math.pi * torch.rand((), generator=generator)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    along, across = (
        torch.sin(2 * math.pi * (rows * a.sin() + columns * a.cos()) / period) for a in (angle, angle + math.pi / 2)
    )
    pattern = along * across if _flip(generator) else along
    return (pattern.sign() if _flip(generator) else pattern) / 2 + 0.5


def _jigsaw(base: ImageSet, generator: Generator) -> Tensor:
    """An image of the classes with its tiles in another order."""
    image = _drawn(base, generator)
    _, height, width = image.shape
    rows, columns = (min(_TILES, side) for side in (height, width))
    tiles = [tile for band in image.tensor_split(rows, 1) for tile in band.tensor_split(columns, 2)]
    size = -(-height // rows), -(-width // columns)  # where the sides cannot be divided, tiles differ by a pixel
    even = [functional.interpolate(tile[None], size)[0] for tile in tiles]
    order = torch.randperm(len(even), generator=generator).tolist()
    bands = [torch.cat([even[order[row * columns + column]] for column in range(columns)], 2) for row in range(rows)]
    return torch.cat(bands, 1)[:, :height, :width]


def _blend(base: ImageSet, generator: Generator) -> Tensor:
    """Two images of the classes, mirrored or turned against each other, as an arithmetic or geometric mean."""
    one, other = _drawn(base, generator), _drawn(base, generator).flip(-1)
    other = other.flip(-2) if _flip(generator) else other
    return (one + other) / 2 if _flip(generator) else (one * other).sqrt()


def _drawn(base: ImageSet, generator: Generator) -> Tensor:
    return base.images[int(torch.randint(len(base), (), generator=generator))].cpu().float() / 255


def _flip(generator: Generator) -> bool:
    return bool(torch.rand((), generator=generator) < 0.5)


KINDS: Mapping[str, Callable[[ImageSet, Generator], Tensor]] = {
    "noise": _noise, "texture": _texture, "jigsaw": _jigsaw, "blend": _blend,
}
