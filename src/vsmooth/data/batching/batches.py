"""Batches from a resident set: no workers, no state, the same on any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from vsmooth.data.augment import NO_AUGMENTATION, Augmentation, Draws, augment, draw
from vsmooth.data.batching.batch import Batch, BatchSource, Finish, Plan, Views, generator
from vsmooth.data.batching.mixing import NO_MIXING, Mixing
from vsmooth.data.batching.stream import StreamedBatches
from vsmooth.data.seeds import seed_of
from vsmooth.data.storage.dataset import Split
from vsmooth.data.storage.images import ImageSet
from vsmooth.data.transforms import Transform, resident_transform, seeded


class Batches:
    """Cuts a split that lies on `device` as uint8 into batches, augmented and scaled to [0, 1].

    `batch_size` is that of the global batch; rank r of R gets the samples floor(r n / R) up to
    floor((r + 1) n / R) of each global batch of n. The order depends on (seed, epoch) alone and the
    augmentation on (seed, epoch, step) alone: any number of ranks sees the same global batches, and a run
    resumed at a step needs no generator state. Mixing pairs samples of one rank's share.
    With `views`, epoch e shows view e mod views of each image, which depends on (seed, view, index) alone, and batches
    are `ViewBatch`es.
    Limits: with `drop_last=False` and several ranks, a rank's part of the last batch may be empty. Resized crop,
    RandAugment and erasing run on the CPU, image by image.
    Errors: ValueError for sizes, ranks or padding that do not fit the split, and for mixing without `num_classes`.
    """

    def __init__(
        self,
        split: ImageSet,
        batch_size: int,
        *,
        num_classes: int | None = None,
        augmentation: Augmentation = NO_AUGMENTATION,
        mixing: Mixing = NO_MIXING,
        shuffle: bool,
        seed: int = 0,
        drop_last: bool,
        device: torch.device | str,
        rank: int = 0,
        world_size: int = 1,
        channels_last: bool = False,
        views: int | None = None,
    ) -> None:
        self._plan = Plan(len(split), batch_size, shuffle, seed, drop_last, rank, world_size)
        _, height, width = split.image_shape
        augmentation.check_fits(height, width)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self._finish = Finish(seed, rank, mixing, num_classes, layout)
        self._transform: Transform | None = resident_transform(augmentation, height, width)
        self._views = Views(views)
        self._drawn: tuple[int, Draws] | None = None
        self.split = split.to(device)
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation

    def __len__(self) -> int:
        """Steps of one epoch, the same on every rank."""
        return len(self._plan)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from step `start` on. Errors: ValueError for a start outside 0..len."""
        self._plan.check_start(start)
        return self._iterate(epoch, start)

    def _iterate(self, epoch: int, start: int) -> Iterator[Batch]:
        for step, indices in self._plan.global_batches(epoch, start):
            yield self._make_batch(indices, epoch, step)

    def _make_batch(self, indices: Tensor, epoch: int, step: int) -> Batch:
        count = len(indices)
        share = self._plan.share(count)
        images = self.split.images
        mine = indices[share].to(images.device)
        crop = images[mine]
        if self.augmentation.moves:
            # Drawn for the global batch and then cut, so that the draws do not depend on the number of ranks.
            drawn = self._draw(count, epoch, step) if self._views.count is None else self._draw_view(epoch, indices)
            crop = augment(crop, drawn.slice(share).to(images.device), self.augmentation)
        if self._transform is not None and len(crop):
            crop = self._transform_each(self._transform, crop, indices[share], epoch)
        # Pixels stay uint8 until here: a quarter of the bytes to move.
        batch = self._finish(crop, self.split.labels[mine], epoch, step)
        return self._views.tell(batch, indices[share], epoch)

    def _draw(self, count: int, epoch: int, step: int) -> Draws:
        return draw(self.augmentation, count, generator("augment", self.seed, epoch, step))

    def _draw_view(self, epoch: int, indices: Tensor) -> Draws:
        """Drawn for all samples at once, so that a sample's view does not depend on its batch."""
        view = self._views.of(epoch)
        if self._drawn is None or self._drawn[0] != view:
            self._drawn = view, draw(self.augmentation, len(self.split), generator("augment", self.seed, view))
        return self._drawn[1].at(indices)

    def _transform_each(self, transform: Transform, images: Tensor, indices: Tensor, epoch: int) -> Tensor:
        seeds = [seed_of("view", self.seed, self._views.of(epoch), index) for index in indices.tolist()]
        views = [seeded(transform, image, seed) for image, seed in zip(images.cpu(), seeds, strict=True)]
        return torch.stack(views).to(images.device)


def make_batches(
    split: Split,
    batch_size: int,
    *,
    num_classes: int | None = None,
    augmentation: Augmentation = NO_AUGMENTATION,
    mixing: Mixing = NO_MIXING,
    shuffle: bool,
    seed: int = 0,
    drop_last: bool,
    device: torch.device | str,
    rank: int = 0,
    world_size: int = 1,
    channels_last: bool = False,
    workers: int | None = None,
    views: int | None = None,
) -> BatchSource:
    """`Batches` of a resident split, or `StreamedBatches` of a split of files (`workers` is for these alone).

    Errors: ValueError as these two.
    """
    options: dict[str, Any] = {
        "num_classes": num_classes,
        "augmentation": augmentation,
        "mixing": mixing,
        "shuffle": shuffle,
        "seed": seed,
        "drop_last": drop_last,
        "device": device,
        "rank": rank,
        "world_size": world_size,
        "channels_last": channels_last,
        "views": views,
    }
    if isinstance(split, ImageSet):
        return Batches(split, batch_size, **options)
    return StreamedBatches(split, batch_size, workers=workers, **options)
