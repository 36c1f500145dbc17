"""Images that two sets share: the same pixels, or pictures that a perceptual hash and their pixels call the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vsmooth.data.extras import import_extra
from vsmooth.data.storage.images import ImageSet

NEAR_BITS = 8  # of 64 by which the hashes of two views of one picture may differ
NEAR_PIXELS = 0.06  # mean absolute difference of their pixels, in [0, 1]
_ROWS = 256  # hashes compared at once
_FLAT = 3.0  # standard deviation, in grey levels, below which an image has no structure to hash


@dataclass(frozen=True)
class Overlap:
    """How many images of a set are in another: with the very pixels (exact), or as another view of a picture (near)."""

    exact: int
    near: int

    def __bool__(self) -> bool:
        return self.exact > 0 or self.near > 0


@dataclass(frozen=True, eq=False)
class Hashed:
    """Images with the digest and the 64-bit perceptual hash of each; flat ones have none that means anything."""

    images: ImageSet
    hashes: npt.NDArray[np.uint64]
    flat: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, images: ImageSet) -> Hashed:
        """ModuleNotFoundError without imagehash."""
        return cls(images, np.fromiter(_hashes(images.images), np.uint64, len(images)), _flat(images.images))


def find_overlap(images: Hashed, others: Hashed) -> Overlap:
    """How many of ``images`` are among ``others``; ValueError for sets of other shapes.

    Near: the perceptual hashes (pHash: signs of the low frequencies of a cosine transform) differ in at most 8 of 64
    bits, and the pixels by at most 0.06 in the mean. Mirrored, cropped and much changed pictures are not found.
    """
    if images.images.image_shape != others.images.image_shape:
        shapes = f"{images.images.image_shape} and {others.images.image_shape}"
        raise ValueError(f"only images of one shape (C, H, W) can be looked for in each other, got {shapes}")
    known = set(others.images.digests)
    exact = np.array([digest in known for digest in images.images.digests])
    near = sum(_is_near(images, others, index) for index in _candidates(images, others, ~exact))
    return Overlap(int(exact.sum()), near)


def _hashes(images: Tensor) -> Iterator[int]:
    imagehash: Any = _import_imagehash()
    from PIL import Image

    for image in images.cpu().permute(0, 2, 3, 1).numpy():
        bits = imagehash.phash(Image.fromarray(image if image.shape[2] == 3 else image[:, :, 0])).hash
        yield int.from_bytes(np.packbits(bits).tobytes())


def _import_imagehash() -> Any:
    try:
        return import_extra("imagehash", "the search for shared images")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the search for shared images needs imagehash: pip install imagehash (or "vsmooth[ood]"), or leave the '
            "search out (--no-leakage)", name="imagehash",
        ) from error


def _flat(images: Tensor) -> npt.NDArray[np.bool_]:
    return np.array([bool(part.float().mean(0).std() < _FLAT) for part in images.cpu()])


def _candidates(images: Hashed, others: Hashed, wanted: npt.NDArray[np.bool_]) -> Iterator[int]:
    """Indices of images whose hash is near that of another's."""
    chosen, hashes = np.flatnonzero(wanted & ~images.flat), others.hashes[~others.flat]
    for start in range(0, len(chosen), _ROWS):
        rows = chosen[start : start + _ROWS]
        if len(hashes):
            bits = np.bitwise_count(images.hashes[rows][:, None] ^ hashes)
            yield from rows[bits.min(1) <= NEAR_BITS].tolist()


def _is_near(images: Hashed, others: Hashed, index: int) -> bool:
    bits = np.bitwise_count(images.hashes[index] ^ others.hashes)
    pixels = images.images.images[index].float()
    for place in np.flatnonzero((bits <= NEAR_BITS) & ~others.flat).tolist():
        if float((pixels - others.images.images[place].float()).abs().mean()) <= 255 * NEAR_PIXELS:
            return True
    return False
