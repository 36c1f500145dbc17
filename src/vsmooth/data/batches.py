"""Batches from a resident set: no workers, no state, the same on any number of ranks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from vsmooth.data.augment import NO_AUGMENTATION, Augmentation, Draws, augment, draw
from vsmooth.data.images import ImageSet


class Batch(NamedTuple):
    """images: (B, C, H, W) float32 in [0, 1]; labels: (B,) int64; on the same device."""

    images: Tensor
    labels: Tensor


class Batches:
    """Cuts a split that lies on `device` as uint8 into batches, augmented and scaled to [0, 1].

    `batch_size` is that of the global batch; rank r of R gets the samples floor(r n / R) up to
    floor((r + 1) n / R) of each global batch of n. The order depends on (seed, epoch) alone and the
    augmentation on (seed, epoch, step) alone: any number of ranks sees the same global batches, and a run
    resumed at a step needs no generator state.
    Limits: with `drop_last=False` and several ranks, a rank's part of the last batch may be empty.
    Errors: ValueError for sizes, ranks or padding that do not fit the split.
    """

    def __init__(
        self,
        split: ImageSet,
        batch_size: int,
        *,
        augmentation: Augmentation = NO_AUGMENTATION,
        shuffle: bool,
        seed: int = 0,
        drop_last: bool,
        device: torch.device | str,
        rank: int = 0,
        world_size: int = 1,
        channels_last: bool = False,
    ) -> None:
        _check_sizes(len(split), batch_size, drop_last, rank, world_size)
        height, width = split.images.shape[2:]
        augmentation.check_fits(height, width)
        self.split = split.to(device)
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.rank = rank
        self.world_size = world_size
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def __len__(self) -> int:
        """Steps of one epoch, the same on every rank."""
        full, rest = divmod(len(self.split), self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from step `start` on. Errors: ValueError for a start outside 0..len."""
        if not 0 <= start <= len(self):
            raise ValueError(f"start must be a step in 0..{len(self)} of the epoch, got {start}")
        return self._iterate(epoch, start)

    def _iterate(self, epoch: int, start: int) -> Iterator[Batch]:
        order = self._order(epoch)
        for step in range(start, len(self)):
            first = step * self.batch_size
            indices = order[first : first + self.batch_size]
            yield self._make_batch(indices, epoch, step)

    def _order(self, epoch: int) -> Tensor:
        count = len(self.split)
        if not self.shuffle:
            return torch.arange(count)
        return torch.randperm(count, generator=_generator("order", self.seed, epoch))

    def _make_batch(self, indices: Tensor, epoch: int, step: int) -> Batch:
        count = len(indices)
        share = slice(self.rank * count // self.world_size, (self.rank + 1) * count // self.world_size)
        images = self.split.images
        mine = indices[share].to(images.device)
        crop = images[mine]
        if self.augmentation != NO_AUGMENTATION:
            # Drawn for the global batch and then cut, so that the draws do not depend on the number of ranks.
            draws = self._draw(count, epoch, step).slice(share).to(images.device)
            crop = augment(crop, draws, self.augmentation)
        # Pixels stay uint8 until here: a quarter of the bytes to move.
        scaled = crop.to(torch.float32).div_(255).contiguous(memory_format=self.memory_format)
        return Batch(scaled, self.split.labels[mine])

    def _draw(self, count: int, epoch: int, step: int) -> Draws:
        return draw(self.augmentation, count, _generator("augment", self.seed, epoch, step))


def _generator(purpose: str, *key: int) -> torch.Generator:
    """A CPU generator whose stream depends on the key alone; hashed, so that near keys share nothing."""
    digest = hashlib.blake2b(repr((purpose, *key)).encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


def _check_sizes(count: int, batch_size: int, drop_last: bool, rank: int, world_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be in 0..world_size-1, got rank {rank} of {world_size}")
    if drop_last and batch_size > count:
        raise ValueError(
            f"batch_size {batch_size} is larger than the split of {count} images, and drop_last would drop "
            f"them all; use a batch_size of at most {count}"
        )
    if drop_last and batch_size % world_size:
        raise ValueError(
            f"the global batch_size {batch_size} must be a multiple of the {world_size} ranks; "
            f"use {(batch_size // world_size + 1) * world_size}"
        )
