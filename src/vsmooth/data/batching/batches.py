"""Batches of a split in memory: no workers, no state, the same on any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vsmooth.data.augment import Draws, augment, draw
from vsmooth.data.batching.batch import Batch, BatchSource, Finish
from vsmooth.data.batching.plan import BatchPlan, Placement, Schedule, generator
from vsmooth.data.batching.stream import StreamedBatches
from vsmooth.data.seeds import seed_of
from vsmooth.data.storage.dataset import Split
from vsmooth.data.storage.images import ImageSet
from vsmooth.data.transforms import Transform, resident_transform, seeded


class Batches:
    """Batches of a split that is on the device as uint8, augmented and scaled to [0, 1].

    Rank r of R gets the samples floor(r n / R) up to floor((r + 1) n / R) of each global batch of n. The order depends
    only on (seed, epoch) and the augmentation only on (seed, epoch, step): any number of ranks sees the same global
    batches, and a run resumed at a step needs no generator state. Mixing pairs samples of one rank's share.
    Limits: with `drop_last=False` and several ranks, a rank's part of the last batch may be empty. Resized crop,
    RandAugment and erasing run on the CPU, image by image.
    Errors: ValueError for sizes, ranks or padding that do not fit the split.
    """

    def __init__(self, split: ImageSet, plan: BatchPlan, placement: Placement) -> None:
        _, height, width = split.image_shape
        plan.augmentation.check_fits(height, width)
        self.plan = plan
        self._schedule = Schedule(len(split), plan, placement)
        self._finish = Finish(plan, placement)
        self._transform: Transform | None = resident_transform(plan.augmentation, height, width)
        self._drawn: tuple[int, Draws] | None = None
        self.split = split.to(placement.device)

    @property
    def batch_size(self) -> int:
        """Images of a global batch."""
        return self.plan.batch_size

    @property
    def seed(self) -> int:
        """Of the order and the augmentation."""
        return self.plan.seed

    def __len__(self) -> int:
        """Steps of one epoch, the same on every rank."""
        return len(self._schedule)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from step `start` on. Errors: ValueError for a start outside 0..len."""
        self._schedule.check_start(start)
        return self._iterate(epoch, start)

    def _iterate(self, epoch: int, start: int) -> Iterator[Batch]:
        for step, indices in self._schedule.global_batches(epoch, start):
            yield self._make_batch(indices, epoch, step)

    def _make_batch(self, indices: Tensor, epoch: int, step: int) -> Batch:
        count = len(indices)
        share = self._schedule.share(count)
        images = self.split.images
        mine = indices[share].to(images.device)
        crop = images[mine]
        if self.plan.augmentation.moves:
            # Drawn for the global batch and then cut, so that the draws do not depend on the number of ranks.
            drawn = self._draw(count, epoch, step) if self.plan.views is None else self._draw_view(epoch, indices)
            crop = augment(crop, drawn.slice(share).to(images.device), self.plan.augmentation)
        if self._transform is not None and len(crop):
            crop = self._transform_each(self._transform, crop, indices[share], epoch)
        # Pixels stay uint8 until here: a quarter of the bytes to move.
        return self._finish(crop, self.split.labels[mine], indices[share], epoch, step)

    def _draw(self, count: int, epoch: int, step: int) -> Draws:
        return draw(self.plan.augmentation, count, generator("augment", self.seed, epoch, step))

    def _draw_view(self, epoch: int, indices: Tensor) -> Draws:
        """Drawn for all samples at once, so that a sample's view does not depend on its batch."""
        view = self.plan.view(epoch)
        if self._drawn is None or self._drawn[0] != view:
            drawn = draw(self.plan.augmentation, len(self.split), generator("augment", self.seed, view))
            self._drawn = view, drawn
        return self._drawn[1].at(indices)

    def _transform_each(self, transform: Transform, images: Tensor, indices: Tensor, epoch: int) -> Tensor:
        seeds = [seed_of("view", self.seed, self.plan.view(epoch), index) for index in indices.tolist()]
        views = [seeded(transform, image, seed) for image, seed in zip(images.cpu(), seeds, strict=True)]
        return torch.stack(views).to(images.device)


def make_batches(split: Split, plan: BatchPlan, placement: Placement) -> BatchSource:
    """`Batches` of a resident split, or `StreamedBatches` of a split of files. Errors: ValueError as these two."""
    if isinstance(split, ImageSet):
        return Batches(split, plan, placement)
    return StreamedBatches(split, plan, placement)
