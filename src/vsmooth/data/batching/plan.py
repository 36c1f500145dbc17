"""The plan of batches, their placement, and the assignment of samples to batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vsmooth.data.augment import NO_AUGMENTATION, Augmentation
from vsmooth.data.batching.mixing import NO_MIXING, Mixing, check_mixing
from vsmooth.data.seeds import seed_of


@dataclass(frozen=True)
class BatchPlan:
    """What is drawn from a split, independent of the device and the number of processes.

    batch_size: of the global batch, over all ranks. shuffle: a new order in each epoch, of (seed, epoch) alone; else
    that of the split. drop_last: leave out the last batch where it is smaller.
    mixing: needs num_classes, K. views: epoch e shows view e mod views of each image, which depends on (seed, view,
    index) alone; None: another view in each epoch.
    Errors: ValueError for a batch size or views below 1, and for mixing without num_classes.
    """

    batch_size: int
    shuffle: bool
    drop_last: bool
    seed: int = 0
    augmentation: Augmentation = NO_AUGMENTATION
    mixing: Mixing = NO_MIXING
    num_classes: int | None = None
    views: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.views is not None and self.views < 1:
            raise ValueError(f"views must be at least 1, got {self.views}")
        check_mixing(self.mixing, self.num_classes)

    def view(self, epoch: int) -> int:
        """The number that an image's augmentation depends on in addition to the seed and the image."""
        return epoch if self.views is None else epoch % self.views


@dataclass(frozen=True)
class Placement:
    """Where batches go: a device, one rank's share of each, the memory layout, and who decodes.

    workers: processes that decode streamed images; 0: none, this process does; None: one for each core of this rank, at
    most 16. Images in memory need none.
    Errors: ValueError for a rank outside 0..world_size-1 and workers below 0.
    """

    device: torch.device | str
    rank: int = 0
    world_size: int = 1
    channels_last: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must be in 0..world_size-1, got rank {self.rank} of {self.world_size}")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers must be 0 (none) or more, got {self.workers}")

    @property
    def memory_format(self) -> torch.memory_format:
        """Of a batch's images."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


@dataclass(frozen=True)
class Schedule:
    """The order of `count` samples, cut into global batches and those into the ranks' shares.

    The order depends on (seed, epoch) alone; rank r of R gets the samples floor(r n / R) up to floor((r + 1) n / R)
    of each global batch of n.
    Errors: ValueError for a plan or a number of ranks that does not fit the split.
    """

    count: int
    plan: BatchPlan
    placement: Placement

    def __post_init__(self) -> None:
        size, world_size = self.plan.batch_size, self.placement.world_size
        if self.plan.drop_last and size > self.count:
            raise ValueError(
                f"batch_size {size} is larger than the split of {self.count} images, and drop_last would "
                f"drop them all; use a batch_size of at most {self.count}"
            )
        if self.plan.drop_last and size % world_size:
            raise ValueError(
                f"the global batch_size {size} must be a multiple of the {world_size} ranks; "
                f"use {(size // world_size + 1) * world_size}"
            )

    def __len__(self) -> int:
        full, rest = divmod(self.count, self.plan.batch_size)
        return full + (1 if rest and not self.plan.drop_last else 0)

    def check_start(self, start: int) -> None:
        """Errors: ValueError for a step that the epoch does not have."""
        if not 0 <= start <= len(self):
            raise ValueError(f"start must be a step in 0..{len(self)} of the epoch, got {start}")

    def global_batches(self, epoch: int, start: int) -> Iterator[tuple[int, Tensor]]:
        """(step, sample indices of all ranks) from step `start` on."""
        order = self._order(epoch)
        for step in range(start, len(self)):
            first = step * self.plan.batch_size
            yield step, order[first : first + self.plan.batch_size]

    def share(self, count: int) -> slice:
        """This rank's part of a global batch of `count`."""
        rank, world_size = self.placement.rank, self.placement.world_size
        return slice(rank * count // world_size, (rank + 1) * count // world_size)

    def _order(self, epoch: int) -> Tensor:
        if not self.plan.shuffle:
            return torch.arange(self.count)
        return torch.randperm(self.count, generator=generator("order", self.plan.seed, epoch))


def generator(purpose: str, *key: int) -> torch.Generator:
    """A CPU generator whose stream depends on the key alone."""
    return torch.Generator().manual_seed(seed_of(purpose, *key))
