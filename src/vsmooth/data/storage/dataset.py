"""A data set: two splits, in memory or as files, and the names of the classes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from vsmooth.data.storage.files import FileSet
from vsmooth.data.storage.images import ImageSet
from vsmooth.texts import check_unicode

GREY_LEVEL = 1 / 255
Split = ImageSet | FileSet
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification data set: names of its K classes, a train and a test split.

    `statistics`: mean and standard deviation of the channels where they are known and the images too many to count;
    `left_out`: names of unreadable images that were left out when the set was loaded.
    Errors: ValueError for K < 2, repeated names or names that are no valid Unicode, labels outside 0..K-1, a train
    split of one class, and splits whose images differ in shape.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    statistics: Statistics | None = None
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ValueError(
                f"{self.name}: classification needs at least 2 classes, got {list(self.classes)}"
            )
        if len(set(self.classes)) < self.num_classes:
            repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
            raise ValueError(f"{self.name}: class names must differ, but {repeated} occur more than once")
        for name in self.classes:
            check_unicode(f"{self.name}: a class name", name)
        for split, part in (("train", self.train), ("test", self.test)):
            low, high = int(part.labels.min()), int(part.labels.max())
            if low < 0 or high >= self.num_classes:
                raise ValueError(
                    f"{self.name}: labels of the {split} split must be in 0..{self.num_classes - 1} "
                    f"({self.num_classes} classes), got {low}..{high}"
                )
        if int(self.train.labels.min()) == int(self.train.labels.max()):
            only = self.classes[int(self.train.labels[0])]
            raise ValueError(
                f"{self.name}: every train image is of class {only!r}; training needs at least 2 classes"
            )
        if self.test.image_shape != self.train.image_shape:
            raise ValueError(
                f"{self.name}: train images are {self.image_shape} (C, H, W) but test images are "
                f"{self.test.image_shape}; bring both to one size and mode"
            )

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.train.image_shape

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of the unreadable images so far: left out at the start, or replaced in the middle of an epoch."""
        met = [name for part in (self.train, self.test) if isinstance(part, FileSet) for name in part.broken]
        return (*self.left_out, *met)

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of a SHA-256 over the names of the classes in their order and what the splits hold.

        Resident splits: shapes, pixels and labels. Files: names, sizes in bytes, labels, the shape of the crops, and
        contents: of every image where a split takes at most 1 GiB, else of 2,000 evenly spaced ones.
        """
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for part in (self.train, self.test):
            for buffer in part.identity():
                digest.update(buffer)
        return digest.hexdigest()[:16]

    @cached_property
    def overlap_note(self) -> str | None:
        """A warning if test images are also training images, which makes test results too good; None if there are none.

        Resident splits: by their pixels. Files: by the contents that the fingerprint looks at.
        """
        known, looked_at = set(self.train.digests), self.test.digests
        found = sum(digest in known for digest in looked_at)
        if not found:
            return None
        looked = f"{len(looked_at):,}" if len(looked_at) == len(self.test) else f"{len(looked_at):,} sampled"
        return (
            f"{self.name}: {found:,} of {looked} test images are also in the train split; on these the test says "
            "nothing about new images"
        )

    def channel_statistics(self) -> Statistics:
        """Mean and standard deviation of each channel of the train images, in [0, 1] units.

        mean_c = E[x_c], std_c = sqrt(E[(x_c - mean_c)^2]): recorded ones if the set has them; else from exact
        histograms, of all train pixels in memory, of the centre crops of 1,000 evenly spaced train files.
        Limits: the standard deviation is at least one grey level (1/255), so that a constant channel never
        divides by zero.
        """
        return self.statistics or self._measured_statistics

    @cached_property
    def _measured_statistics(self) -> Statistics:
        weights = self.train.histograms().double()
        weights /= weights.sum(dim=1, keepdim=True)
        values = torch.arange(256, dtype=torch.float64) / 255
        means = weights @ values
        variances = (weights * (values - means[:, None]) ** 2).sum(dim=1)
        return tuple(means.tolist()), tuple(variances.sqrt().clamp(min=GREY_LEVEL).tolist())

    def split_validation(self, fraction: float, seed: int) -> tuple[Split, Split]:
        """Cut train into (rest, validation): of each class of n images round(fraction * n), but at least one.

        The choice depends on `seed` alone; both parts keep the order of train; the test split is not touched.
        Limits: every class keeps an image in rest, so a class of a single image has none in validation.
        Errors: ValueError for a fraction outside (0, 1), or when no class has two images.
        """
        if not 0 < fraction < 1:
            raise ValueError(
                f"the validation fraction must be above 0 and below 1, got {fraction}; "
                "without a validation split use `dataset.train` as it is"
            )
        labels = self.train.labels.cpu()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        counts = labels.bincount(minlength=self.num_classes)
        quota = (counts.double() * fraction).round().long().clamp(min=1).minimum((counts - 1).clamp(min=0))
        chosen = _rank_in_class(labels, order) < quota[labels]
        if not chosen.any():
            raise ValueError(f"{self.name}: no class has two train images, so no validation split can be cut")
        return self.train.subset((~chosen).nonzero().flatten()), self.train.subset(chosen.nonzero().flatten())

    def limited(self, train: int | None) -> Dataset:
        """The same data set with only `train` train images (None: all), for quick runs.

        Takes the first images of each class in turn, so the classes stay balanced; always the same choice.
        Errors: ValueError outside 2..N.
        """
        if train is None:
            return self
        if not 2 <= train <= len(self.train):
            raise ValueError(f"{self.name}: can keep 2 to {len(self.train)} train images, not {train}")
        labels = self.train.labels.cpu()
        rank = _rank_in_class(labels, torch.arange(len(labels)))
        chosen = (rank * self.num_classes + labels).argsort()[:train].sort().values
        return replace(self, train=self.train.subset(chosen))


def _rank_in_class(labels: Tensor, order: Tensor) -> Tensor:
    """For each sample, how many of its class come before it when the samples are visited in `order`."""
    visited = labels[order]
    grouped = visited.argsort(stable=True)
    counts = visited.bincount()
    first = (counts.cumsum(0) - counts)[visited[grouped]]
    rank = torch.empty_like(labels)
    rank[order[grouped]] = torch.arange(len(labels)) - first
    return rank
