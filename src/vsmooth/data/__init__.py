"""Labelled images: where they come from, how they rest in memory, and how batches are made of them."""

from vsmooth.data.augment import NO_AUGMENTATION, Augmentation
from vsmooth.data.batches import Batch, Batches
from vsmooth.data.images import Dataset, ImageSet
from vsmooth.data.sources import list_sources, load_dataset

__all__ = [
    "NO_AUGMENTATION",
    "Augmentation",
    "Batch",
    "Batches",
    "Dataset",
    "ImageSet",
    "list_sources",
    "load_dataset",
]
