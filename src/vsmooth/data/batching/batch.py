"""What a batch is, and how its pixels are finished."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vsmooth.data.batching.mixing import NO_MIXING, mix
from vsmooth.data.batching.plan import BatchPlan, Placement
from vsmooth.data.seeds import seed_of


@dataclass(frozen=True, eq=False)
class Batch:
    """Images with their labels; unpacks into (images, labels), as the batches of a DataLoader do.

    images: (B, C, H, W) float32 in [0, 1]; labels: (B,) int64 (-1: not known), or (B, K) float32 if mixed; on one
    device.
    indices: (B,) int64 on the CPU, the samples' positions in the split; None if unknown.
    view: number of the view that each sample is shown in, if views repeat; otherwise None.
    extra: a second part with its own size, such as outliers or pseudo-labelled images; None if there is none.
    epoch: of the training, counted from 0, for what changes from epoch to epoch.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor | None = None
    view: int | None = None
    extra: Batch | None = None
    epoch: int = 0

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.images, self.labels))


class BatchSource(Protocol):
    """Batches of one split, from memory or from files."""

    @property
    def batch_size(self) -> int:
        """Images of a global batch."""

    @property
    def seed(self) -> int:
        """Seed of the order and the augmentation, which also depend on epoch and step."""

    def __len__(self) -> int:
        """Steps of one epoch, the same on every rank."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from step `start` on. Errors: ValueError for a start outside 0..len."""


@dataclass(frozen=True)
class Finish:
    """uint8 images -> a batch: scaled to [0, 1], mixed, in the memory format asked for.

    Pairs are drawn inside a rank's share and depend on (seed, epoch, step, rank): with mixing, and only then, the
    number of ranks changes the images.
    """

    plan: BatchPlan
    placement: Placement

    def __call__(self, images: Tensor, labels: Tensor, indices: Tensor, epoch: int, step: int) -> Batch:
        plan = self.plan
        scaled = images.to(torch.float32).div_(255)
        if plan.mixing != NO_MIXING and plan.num_classes is not None:
            seed = seed_of("mixing", plan.seed, epoch, step, self.placement.rank)
            scaled, labels = mix(scaled, labels, plan.mixing, plan.num_classes, seed)
        finished = scaled.contiguous(memory_format=self.placement.memory_format)
        view = None if plan.views is None else plan.view(epoch)
        return Batch(finished, labels, indices.cpu(), view, epoch=epoch)
