"""PNG and JPEG files to one uint8 tensor."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vsmooth.data.extras import import_extra

if TYPE_CHECKING:
    import numpy.typing as npt

GREY_MODES = {"L", "LA", "1"}
DEEP_MODES = {"I", "F", "I;16", "I;16B", "I;16L"}


def decode_images(encoded: Sequence[bytes | Path], name_of: Callable[[int], str]) -> Tensor:
    """Encoded images (bytes or files) -> (N, C, H, W) uint8.

    Palette and RGBA images become RGB (the alpha channel is dropped); grey images stay grey (C = 1).
    `name_of(i)` names image i in errors.
    Errors: ValueError for an unreadable image, for more than 8 bits per pixel, and for the first image whose
    size or mode differs from that of image 0.
    """
    import_extra("PIL.Image", "decoding images")
    first = _decode(encoded[0], name_of(0))
    stacked = torch.empty((len(encoded), *first.shape), dtype=torch.uint8)
    pixels = stacked.numpy()

    # One thread: on images this small Pillow mostly holds the interpreter lock, and a pool was slower.
    for index, content in enumerate(encoded):
        image = _decode(content, name_of(index))
        if image.shape != first.shape:
            raise ValueError(
                f"{name_of(index)} is {_describe(image)}, but {name_of(0)} is {_describe(first)}; "
                "all images must have one size and mode"
            )
        pixels[index] = image
    return stacked.permute(0, 3, 1, 2).contiguous()


def _decode(encoded: bytes | Path, name: str) -> npt.NDArray[Any]:
    """One image as (H, W, C) uint8."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
            if image.mode in DEEP_MODES:
                raise ValueError(f"{name} has more than 8 bits per pixel (mode {image.mode}); convert it")
            mode = "L" if image.mode in GREY_MODES else "RGB"
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} cannot be read as an image: {error}") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _describe(image: npt.NDArray[Any]) -> str:
    height, width, channels = image.shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
