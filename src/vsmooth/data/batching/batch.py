"""What a batch is, and which samples make which batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vsmooth.data.batching.mixing import NO_MIXING, Mixing, check_mixing, mix
from vsmooth.data.seeds import seed_of


class Batch(NamedTuple):
    """images: (B, C, H, W) float32 in [0, 1]; labels: (B,) int64, or (B, K) float32 if mixed; on the same device."""

    images: Tensor
    labels: Tensor


class ViewBatch(Batch):
    """A batch of views that come again; indices: (B,) int64 on the CPU, the samples' places in the split; view: which.

    A pair of images and labels like any other batch.
    """

    indices: Tensor
    view: int

    def __new__(cls, images: Tensor, labels: Tensor, indices: Tensor, view: int) -> ViewBatch:
        batch = super().__new__(cls, images, labels)
        batch.indices, batch.view = indices, view
        return batch


class BatchSource(Protocol):
    """Batches of one split, from memory or from files."""

    batch_size: int
    seed: int

    def __len__(self) -> int:
        """Steps of one epoch, the same on every rank."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from step `start` on. Errors: ValueError for a start outside 0..len."""


@dataclass(frozen=True)
class Plan:
    """The order of the samples, cut into global batches and those into the ranks' shares.

    The order depends on (seed, epoch) alone; rank r of R gets the samples floor(r n / R) up to floor((r + 1) n / R)
    of each global batch of n.
    Errors: ValueError for sizes or ranks that do not fit the split.
    """

    count: int
    batch_size: int
    shuffle: bool
    seed: int
    drop_last: bool
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must be in 0..world_size-1, got rank {self.rank} of {self.world_size}")
        if self.drop_last and self.batch_size > self.count:
            raise ValueError(
                f"batch_size {self.batch_size} is larger than the split of {self.count} images, and drop_last would "
                f"drop them all; use a batch_size of at most {self.count}"
            )
        if self.drop_last and self.batch_size % self.world_size:
            raise ValueError(
                f"the global batch_size {self.batch_size} must be a multiple of the {self.world_size} ranks; "
                f"use {(self.batch_size // self.world_size + 1) * self.world_size}"
            )

    def __len__(self) -> int:
        full, rest = divmod(self.count, self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    def check_start(self, start: int) -> None:
        """Errors: ValueError for a step that the epoch does not have."""
        if not 0 <= start <= len(self):
            raise ValueError(f"start must be a step in 0..{len(self)} of the epoch, got {start}")

    def global_batches(self, epoch: int, start: int) -> Iterator[tuple[int, Tensor]]:
        """(step, sample indices of all ranks) from step `start` on."""
        order = self._order(epoch)
        for step in range(start, len(self)):
            first = step * self.batch_size
            yield step, order[first : first + self.batch_size]

    def share(self, count: int) -> slice:
        """This rank's part of a global batch of `count`."""
        return slice(self.rank * count // self.world_size, (self.rank + 1) * count // self.world_size)

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(self.count)
        return torch.randperm(self.count, generator=generator("order", self.seed, epoch))


@dataclass(frozen=True)
class Finish:
    """uint8 images -> a batch: scaled to [0, 1], mixed, in the memory format asked for.

    Pairs are drawn inside a rank's share and depend on (seed, epoch, step, rank): with mixing, and only then, the
    number of ranks changes the images. Errors: ValueError for mixing without `num_classes`.
    """

    seed: int
    rank: int
    mixing: Mixing = NO_MIXING
    num_classes: int | None = None
    memory_format: torch.memory_format = torch.contiguous_format

    def __post_init__(self) -> None:
        check_mixing(self.mixing, self.num_classes)

    def __call__(self, images: Tensor, labels: Tensor, epoch: int, step: int) -> Batch:
        scaled = images.to(torch.float32).div_(255)
        if self.mixing != NO_MIXING and self.num_classes is not None:
            seed = seed_of("mixing", self.seed, epoch, step, self.rank)
            scaled, labels = mix(scaled, labels, self.mixing, self.num_classes, seed)
        return Batch(scaled.contiguous(memory_format=self.memory_format), labels)


@dataclass(frozen=True)
class Views:
    """Which view of the images an epoch shows: fresh ones, or in turn one of `count` that come again and again.

    Errors: ValueError for a count below 1.
    """

    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"views must be at least 1, got {self.count}")

    def of(self, epoch: int) -> int:
        """The number that an image's augmentation depends on, besides the seed and the image."""
        return epoch if self.count is None else epoch % self.count

    def tell(self, batch: Batch, indices: Tensor, epoch: int) -> Batch:
        """The batch, with its samples' places and its view where views come again."""
        return batch if self.count is None else ViewBatch(*batch, indices.cpu(), self.of(epoch))


def generator(purpose: str, *key: int) -> torch.Generator:
    """A CPU generator whose stream depends on the key alone."""
    return torch.Generator().manual_seed(seed_of(purpose, *key))
