"""PNG and JPEG files to uint8 tensors."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from vsmooth.data.extras import import_extra

if TYPE_CHECKING:
    import numpy.typing as npt

# Pillow knows dozens of formats, and hands one that begins like EPS to Ghostscript: only these two are tried.
FORMATS = ("PNG", "JPEG")
GREY_MODES = {"L", "LA", "1"}
DEEP_MODES = {"I", "F", "I;16", "I;16B", "I;16L"}


class UnreadableImageError(ValueError):
    """An image that cannot be decoded; the message names it and how to go on without it."""

    def __init__(self, trouble: str) -> None:
        super().__init__(f"{trouble}; skip_broken (--skip-broken) counts such images and goes on without them")


class Encoded(Protocol):
    """Encoded images by index: a list of bytes and files, or something that reads them when asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> bytes | Path: ...


def decode_images(
    encoded: Encoded, name_of: Callable[[int], str], *, rgb: bool = False, broken: list[int] | None = None
) -> Tensor:
    """Encoded images (bytes or files) -> (N, C, H, W) uint8.

    Palette and RGBA images become RGB (the alpha channel is dropped); grey images stay grey (C = 1), or become RGB
    too with `rgb`. `name_of(i)` names image i in errors. Given a list `broken`, unreadable images are left out of the
    result and their indices appended to it.
    Errors: ValueError for an unreadable image, for more than 8 bits per pixel, and for the first image whose
    size or mode differs from that of the first.
    """
    import_extra("PIL.Image", "decoding images")
    kept: list[int] = []
    stacked = torch.empty(0)
    # One thread: on images this small Pillow mostly holds the interpreter lock, and a pool was slower.
    for index in range(len(encoded)):
        try:
            image = _pixels(encoded[index], name_of(index), rgb)
        except UnreadableImageError:
            if broken is None:
                raise
            broken.append(index)
            continue
        if not kept:
            stacked = torch.empty((len(encoded), *image.shape), dtype=torch.uint8)
            pixels = stacked.numpy()
        if image.shape != pixels.shape[1:]:
            raise ValueError(
                f"{name_of(index)} is {_describe(image.shape)}, but {name_of(kept[0])} is "
                f"{_describe(pixels.shape[1:])}; all images must have one size and mode"
            )
        pixels[len(kept)] = image
        kept.append(index)
    if not kept:
        raise ValueError(f"none of the {len(encoded)} images can be read; the first is {name_of(0)}")
    return stacked[: len(kept)].permute(0, 3, 1, 2).contiguous()


def decode_rgb(encoded: bytes | Path, name: str) -> Tensor:
    """One image -> (3, H, W) uint8. Errors: UnreadableImageError; ValueError for more than 8 bits per pixel."""
    import numpy as np

    # A copy, because torch takes no read-only memory.
    return torch.from_numpy(np.array(_pixels(encoded, name, rgb=True))).permute(2, 0, 1)


def read_size(encoded: bytes | Path, name: str) -> tuple[int, int]:
    """(width, height) from the header alone. Errors: as `decode_rgb`."""
    with _open(encoded, name) as image:
        width, height = image.size
        return width, height


def _pixels(encoded: bytes | Path, name: str, rgb: bool) -> npt.NDArray[Any]:
    """One image as (H, W, C) uint8."""
    import numpy as np

    with _open(encoded, name) as image:
        mode = "L" if image.mode in GREY_MODES and not rgb else "RGB"
        pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


@contextmanager
def _open(encoded: bytes | Path, name: str) -> Iterator[Any]:
    from PIL import Image, UnidentifiedImageError

    if isinstance(encoded, Path) and not encoded.is_file():  # opening a pipe would wait for ever
        raise UnreadableImageError(f"{name} is missing or not a regular file")
    try:
        with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded, formats=FORMATS) as image:
            if image.mode not in DEEP_MODES:
                yield image
                return
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"{name} cannot be read as an image: it is not PNG or JPEG, or damaged") from error
    except Exception as error:  # on damaged files Pillow raises OSError, SyntaxError, ValueError, EOFError and others
        raise UnreadableImageError(f"{name} cannot be read as an image: {error}") from error
    raise ValueError(f"{name} has more than 8 bits per pixel (mode {image.mode}); convert it")


def _describe(shape: Sequence[int]) -> str:
    height, width, channels = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
