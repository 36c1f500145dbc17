"""Labelled images at rest: uint8 tensors, checked once where they enter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

GREY_LEVEL = 1 / 255
CHUNK = 1024


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and their class indices, all of one size.

    images: (N, C, H, W) uint8 in 0..255 with C = 1 (grey) or 3 (RGB); labels: (N,) int64; both on one device.
    Errors: ValueError for another dtype or shape and for an empty set.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8 in 0..255, got {_name(images.dtype)}; for floats in [0, 1] use "
                "(255 * images).round().to(torch.uint8)"
            )
        if images.dim() != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be (N, C, H, W) with C = 1 or 3, got shape {tuple(images.shape)}")
        if images.numel() == 0:
            raise ValueError(
                f"images are empty (shape {tuple(images.shape)}); a set needs at least one image"
            )
        if labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be int64 class indices, got {_name(labels.dtype)}; use labels.long()"
            )
        if labels.shape != images.shape[:1]:
            raise ValueError(
                f"{len(images)} images need labels of shape ({len(images)},), got {tuple(labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> ImageSet:
        """The samples at `indices` (int64), in that order."""
        indices = indices.to(self.labels.device)
        return ImageSet(self.images[indices], self.labels[indices])

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set on `device`; nothing is copied if it is there already."""
        return ImageSet(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification data set: names of its K classes, a train and a test split.

    Errors: ValueError for K < 2 or repeated names, labels outside 0..K-1, a train split of one class, and
    splits whose images differ in shape.
    """

    name: str
    classes: tuple[str, ...]
    train: ImageSet
    test: ImageSet

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ValueError(
                f"{self.name}: classification needs at least 2 classes, got {list(self.classes)}"
            )
        if len(set(self.classes)) < self.num_classes:
            repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
            raise ValueError(f"{self.name}: class names must differ, but {repeated} occur more than once")
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
        if self.test.images.shape[1:] != self.train.images.shape[1:]:
            raise ValueError(
                f"{self.name}: train images are {self.image_shape} (C, H, W) but test images are "
                f"{tuple(self.test.images.shape[1:])}; bring both to one size and mode"
            )

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of shapes, pixels and labels; class names do not count."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            digest.update(str(tuple(part.images.shape)).encode())
            for tensor in (part.images, part.labels):
                digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]

    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over all train pixels, in [0, 1] units.

        mean_c = E[x_c], std_c = sqrt(E[(x_c - mean_c)^2]), from exact histograms.
        Limits: the standard deviation is at least one grey level (1/255), so that a constant channel never
        divides by zero.
        """
        weights = _channel_histograms(self.train.images).double()
        weights /= weights.sum(dim=1, keepdim=True)
        values = torch.arange(256, dtype=torch.float64) / 255
        means = weights @ values
        variances = (weights * (values - means[:, None]) ** 2).sum(dim=1)
        return tuple(means.tolist()), tuple(variances.sqrt().clamp(min=GREY_LEVEL).tolist())

    def split_validation(self, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
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


def _channel_histograms(images: Tensor) -> Tensor:
    """(N, C, H, W) uint8 -> (C, 256) counts of each grey level, on the CPU."""
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for start in range(0, len(images), CHUNK):
        for channel, pixels in enumerate(images[start : start + CHUNK].unbind(dim=1)):
            counts[channel] += pixels.flatten().bincount(minlength=256).cpu()
    return counts


def _rank_in_class(labels: Tensor, order: Tensor) -> Tensor:
    """For each sample, how many of its class come before it when the samples are visited in `order`."""
    visited = labels[order]
    grouped = visited.argsort(stable=True)
    counts = visited.bincount()
    first = (counts.cumsum(0) - counts)[visited[grouped]]
    rank = torch.empty_like(labels)
    rank[order[grouped]] = torch.arange(len(labels)) - first
    return rank


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
