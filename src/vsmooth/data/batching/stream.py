"""Batches from files: workers decode and augment the images, the device scales and mixes them."""

from __future__ import annotations

import atexit
import multiprocessing.util  # noqa: F401  # so that its exit function is registered, and runs after ours
import os
import signal
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple
from weakref import WeakSet

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vsmooth.data.batching.batch import Batch, Finish
from vsmooth.data.batching.plan import BatchPlan, Placement, Schedule
from vsmooth.data.seeds import seed_of
from vsmooth.data.storage.files import FileSet
from vsmooth.data.transforms import Transform, seeded, streamed_transform

MOST_WORKERS = 16


class StreamedBatches:
    """Decodes a split of files into batches, augmented and scaled to [0, 1]; the same contract as `Batches`.

    The order depends only on (seed, epoch) and the augmentation of an image only on (seed, epoch, index): any number of
    ranks and of workers sees the same global batches, from any start step. Mixing pairs samples of one rank's share.
    The workers are started with the first epoch and kept.
    Limits: one epoch at a time. An unreadable image ends the epoch with a ValueError that names it; with the split's
    `skip_broken` the next readable sample takes its place, and `split.broken` has its name.
    Errors: ValueError for sizes, ranks or padding that do not fit the split.
    """

    def __init__(self, split: FileSet, plan: BatchPlan, placement: Placement) -> None:
        plan.augmentation.check_fits(split.image_size, split.image_size)
        self.plan = plan
        self._schedule = Schedule(len(split), plan, placement)
        self._finish = Finish(plan, placement)
        self.split = split
        self.device = torch.device(placement.device)
        found = placement.workers
        self.workers = min(_cores(placement.world_size), MOST_WORKERS, len(self._schedule)) if found is None else found
        self._requests = _Requests(self._schedule)
        self._loader: DataLoader[Any] | None = None

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
        """The batches of one epoch from step `start` on.

        Errors: ValueError for a start outside 0..len, and in the middle for an unreadable image; RuntimeError when an
        earlier epoch is read on after a later one was begun.
        """
        self._schedule.check_start(start)
        return self._iterate(epoch, start)

    def close(self) -> None:
        """Stop the workers (garbage collection does it too); another epoch starts new ones."""
        self._requests.begin(0, 0)  # so that an epoch that is still being read ends with an error and does not wait
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()
        self._loader = None

    def _iterate(self, epoch: int, start: int) -> Iterator[Batch]:
        requests = self._requests
        requests.begin(epoch, start)
        turn = requests.turn
        if self._loader is None:
            self._loader = self._make_loader()
            _open.add(self)
        for step, loaded in enumerate(self._loader, start):
            yield self._make_batch(loaded, epoch, step)
            if requests.turn != turn:
                raise RuntimeError("an epoch of streamed batches ends where the next begins: use one object for each")

    def _make_loader(self) -> DataLoader[Any]:
        transform = streamed_transform(self.plan.augmentation, self.split.image_size)
        return DataLoader(
            _Samples(self.split, transform, self.seed),
            batch_size=None,  # a request is a whole batch
            sampler=self._requests,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_start_worker,
            persistent_workers=self.workers > 0,
            generator=torch.Generator(),  # or every epoch would draw from the global one
        )

    def _make_batch(self, loaded: _Loaded, epoch: int, step: int) -> Batch:
        if loaded.error is not None:
            raise ValueError(loaded.error)
        self.split.broken.update(dict.fromkeys(loaded.broken))
        # Pixels stay uint8 until they are on the device: a quarter of the bytes to move.
        images = loaded.images.to(self.device, non_blocking=True)
        return self._finish(images, loaded.labels.to(self.device, non_blocking=True), loaded.places, epoch, step)


_open: WeakSet[StreamedBatches] = WeakSet()


@atexit.register
def _close_all() -> None:
    """Before multiprocessing ends the workers by force, which their loader would report as a crash."""
    for batches in list(_open):
        batches.close()


class _Request(NamedTuple):
    """One rank's share of one step; `view`: what the augmentation depends on besides seed and index."""

    view: int
    indices: list[int]


class _Loaded(NamedTuple):
    """A batch as a worker hands it over.

    `places`: (B,) int64, the samples that it shows; `broken`: names of images that were replaced; `error`: why there
    is none.
    """

    images: Tensor
    labels: Tensor
    places: Tensor
    broken: list[str]
    error: str | None


class _Requests(Sampler[_Request]):
    """What the workers are asked for: the steps of the epoch that was begun last."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.turn = self.epoch = self.start = 0

    def begin(self, epoch: int, start: int) -> None:
        """The next iteration is over this epoch."""
        self.turn, self.epoch, self.start = self.turn + 1, epoch, start

    def __iter__(self) -> Iterator[_Request]:
        view = self.schedule.plan.view(self.epoch)
        for _, indices in self.schedule.global_batches(self.epoch, self.start):
            yield _Request(view, indices[self.schedule.share(len(indices))].tolist())


class _Samples(Dataset[_Loaded]):
    """In a worker: from a request to its images."""

    def __init__(self, split: FileSet, transform: Transform, seed: int) -> None:
        self.split, self.transform, self.seed = split, transform, seed

    def __getitem__(self, request: _Request) -> _Loaded:
        images = torch.empty((len(request.indices), *self.split.image_shape), dtype=torch.uint8)
        labels = torch.empty(len(request.indices), dtype=torch.int64)
        places = torch.tensor(request.indices, dtype=torch.int64)
        broken: list[str] = []
        for place, index in enumerate(request.indices):
            try:
                sample = self.split.read(index)
            except ValueError as error:
                # As a value: an exception that crosses processes arrives wrapped in the worker's traceback.
                return _Loaded(images, labels, places, broken, str(error))
            images[place] = seeded(self.transform, sample.pixels, seed_of("view", self.seed, request.view, index))
            labels[place] = self.split.labels[sample.place]
            broken += [self.split.name(passed) for passed in sample.broken]
        return _Loaded(images, labels, places, broken, None)


def _as_it_is(loaded: Any) -> Any:
    return loaded


def _start_worker(_: int) -> None:
    """A Ctrl-C goes to the whole foreground group; only the parent answers it, and then stops its workers."""
    # About metadata, which is not used, and in the middle of the parent's display.
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The parent may hold SIGTERM back; inherited, that would keep its workers from being stopped.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "setpgrp"):
        os.setpgrp()


def _cores(world_size: int) -> int:
    """Cores for one rank: those this process may use, shared by the ranks of this machine."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // int(os.environ.get("LOCAL_WORLD_SIZE", world_size)))
