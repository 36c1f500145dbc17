"""Images that stay encoded, in files or tables, and are decoded when a batch needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vsmooth.data.storage.decode import UnreadableImageError, decode_rgb, read_size
from vsmooth.data.storage.encoded import Stored
from vsmooth.data.storage.images import DIGEST_BYTES, channel_histograms
from vsmooth.data.transforms import evaluation_transform

HEADERS_READ = 2000
STATISTICS_SAMPLE = 1000
HASHED_BYTES, HASHED_SAMPLE = 2**30, 2000
CHANNELS = 3


class Sample(NamedTuple):
    """pixels: (3, H, W) uint8 as stored; `place`: the sample it is; `broken`: unreadable ones passed on the way."""

    pixels: Tensor
    place: int
    broken: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FileSet:
    """Encoded images, brought to `image_size` x `image_size` RGB when they are read.

    rows: (N,) int64, which of `images` are the samples; labels: (N,) int64; sizes: (N,) int64, in bytes.
    `broken` gathers the names of unreadable images met while reading; subsets share it.
    Errors: ValueError for an empty set, labels that do not fit, an image_size below 1.
    """

    images: Stored
    rows: Tensor
    labels: Tensor
    sizes: Tensor
    image_size: int
    skip_broken: bool = False
    broken: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ValueError(f"image_size must be at least 1 pixel, got {self.image_size}")
        if not len(self.rows):
            raise ValueError("no images; a set needs at least one")
        if not self.rows.shape == self.labels.shape == self.sizes.shape:
            raise ValueError(f"{len(self.rows)} images need as many labels, got {tuple(self.labels.shape)}")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image in a batch."""
        return CHANNELS, self.image_size, self.image_size

    def subset(self, indices: Tensor) -> FileSet:
        """The samples at `indices` (int64), in that order."""
        return replace(self, rows=self.rows[indices], labels=self.labels[indices], sizes=self.sizes[indices])

    def name(self, index: int) -> str:
        """What to call sample `index` in a message."""
        return self.images.name(int(self.rows[index]))

    def read(self, index: int) -> Sample:
        """Decode sample `index`; with `skip_broken`, an unreadable one is replaced by the next that can be read.

        Errors: ValueError naming the image, or saying that there is none left to take.
        """
        broken: list[int] = []
        for step in range(len(self)):
            place = (index + step) % len(self)
            row = int(self.rows[place])
            try:
                return Sample(decode_rgb(self.images[row], self.images.name(row)), place, tuple(broken))
            except UnreadableImageError:
                if not self.skip_broken:
                    raise
                broken.append(place)
        raise ValueError(f"none of the {len(self)} images can be read; the first is {self.name(0)}")

    def histograms(self) -> Tensor:
        """(3, 256) counts of each grey level over the centre crops of up to 1,000 evenly spaced samples."""
        view = evaluation_transform(self.image_size)
        counts = torch.zeros(CHANNELS, 256, dtype=torch.int64)
        for index in evenly_spaced(len(self), STATISTICS_SAMPLE).tolist():
            counts += channel_histograms(view(self.read(index).pixels)[None])
        return counts

    @cached_property
    def digests(self) -> list[bytes]:
        """A digest of the content of every image, or of 2,000 evenly spaced ones where all take more than 1 GiB.

        Errors: ValueError naming an image that is no longer there.
        """
        whole = int(self.sizes.sum()) <= HASHED_BYTES
        chosen = evenly_spaced(len(self), len(self) if whole else HASHED_SAMPLE).tolist()
        return [blake2b(self._content(index), digest_size=DIGEST_BYTES).digest() for index in chosen]

    def _content(self, index: int) -> bytes:
        found = self.images[int(self.rows[index])]
        try:
            return found if isinstance(found, bytes) else found.read_bytes()
        except OSError as error:
            raise UnreadableImageError(f"{self.name(index)} cannot be read: {error.strerror}") from error

    def identity(self) -> Iterator[Any]:
        """What a fingerprint hashes, in buffers: shape, names, sizes, labels, contents (all or a sample)."""
        yield str((len(self), *self.image_shape)).encode()
        yield self.images.identity(self.rows)
        yield self.sizes.numpy().data
        yield self.labels.numpy().data
        yield b"".join(self.digests)


def open_files(images: Stored, labels: Tensor, image_size: int, skip_broken: bool) -> tuple[FileSet, tuple[str, ...]]:
    """Check what can be checked soon, and give the set and the names of the images that were left out.

    The size of every file is looked up (missing and empty ones are found) and the headers of up to 2,000 evenly
    spaced images are read. An image that is cut off in the middle is found only when it is decoded.
    Errors: ValueError for the first unreadable image unless `skip_broken`, and where most are smaller than the crop.
    """
    sizes = images.sizes()
    broken = set((sizes == 0).nonzero().flatten().tolist())
    if broken and not skip_broken:
        raise UnreadableImageError(f"{images.name(min(broken))} is missing, empty or not a regular file")
    dimensions = []
    for row in sorted({*evenly_spaced(len(images), HEADERS_READ).tolist()} - broken):
        try:
            dimensions.append((row, *read_size(images[row], images.name(row))))
        except UnreadableImageError:
            if not skip_broken:
                raise
            broken.add(row)
    _check_dimensions(images, dimensions, image_size)
    rows = without(len(images), broken)
    if not len(rows):
        raise ValueError(f"none of the {len(images)} images can be read; the first is {images.name(0)}")
    left_out = tuple(images.name(row) for row in sorted(broken))
    return FileSet(images, rows, labels[rows], sizes[rows], image_size, skip_broken), left_out


def without(count: int, broken: Iterable[int]) -> Tensor:
    """The indices 0..count-1 that are not broken."""
    kept = torch.ones(count, dtype=torch.bool)
    kept[list(broken)] = False
    return kept.nonzero().flatten()


def evenly_spaced(count: int, most: int) -> Tensor:
    """Up to `most` of the indices 0..count-1, the first and (of two or more) the last among them, int64."""
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).round().long()


def _check_dimensions(images: Stored, dimensions: list[tuple[int, int, int]], image_size: int) -> None:
    small = [entry for entry in dimensions if min(entry[1:]) < image_size]
    # Some small images are in every large set, ImageNet too, and are enlarged; a set of them is a mistake.
    if 2 * len(small) > len(dimensions):
        row, width, height = small[0]
        raise ValueError(
            f"{len(small)} of {len(dimensions)} images are smaller than the crop of {image_size}x{image_size} pixels "
            f"(the first: {images.name(row)}, {width}x{height}); use an image_size of at most {min(width, height)}, "
            "or enlarge the images yourself"
        )
