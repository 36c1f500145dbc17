"""Batches of two sources together, such as training images with outliers or with pseudo-labelled images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vsmooth.data.batching.batch import Batch, BatchSource


class Paired:
    """Each batch of `source` with the next batch of `extra` as its second part.

    Each has its own batch size. The batches of `extra` follow each other over the epochs: step s of epoch e
    of n steps shows batch (e n + s) mod m of its epoch floor((e n + s) / m), where m is the steps of an epoch of
    `extra`.
    A batch therefore depends only on (seeds, epoch, step), training can resume at any step, and all of `extra` is seen
    before any of it repeats. Each source takes its own share for a rank: give both the same `Placement`.
    Limits: with equal seeds and equally many images both are visited in the same order; give `extra` another seed.
    Errors: ValueError for an `extra` without batches.
    """

    def __init__(self, source: BatchSource, extra: BatchSource) -> None:
        if not len(extra):
            raise ValueError("the second source has no batches: give it images, or use the first source by itself")
        self.source, self.extra = source, extra

    @property
    def batch_size(self) -> int:
        """Images of a global batch of the first source."""
        return self.source.batch_size

    @property
    def seed(self) -> int:
        """Of the first source."""
        return self.source.seed

    def __len__(self) -> int:
        """Steps of one epoch, those of the first source."""
        return len(self.source)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from step `start` on. Errors: ValueError for a start outside 0..len."""
        batches = self.source.epoch(epoch, start)
        extras = self._extras(epoch * len(self) + start)
        return (replace(batch, extra=next(extras)) for batch in batches)

    def _extras(self, step: int) -> Iterator[Batch]:
        """Batches of the second source without end, from the one of a step over all epochs."""
        epoch, start = divmod(step, len(self.extra))
        while True:
            yield from self.extra.epoch(epoch, start)
            epoch, start = epoch + 1, 0
