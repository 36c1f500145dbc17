"""Labelled images: sources, storage in memory or on disk, augmentation and batches."""

from vsmooth.data.augment import NO_AUGMENTATION, Augmentation
from vsmooth.data.batching.batch import Batch, BatchSource
from vsmooth.data.batching.batches import Batches, make_batches
from vsmooth.data.batching.mixing import NO_MIXING, Mixing
from vsmooth.data.batching.paired import Paired
from vsmooth.data.batching.plan import BatchPlan, Placement
from vsmooth.data.batching.stream import StreamedBatches
from vsmooth.data.sources.known_sets import KnownSet, known_set, list_known_sets
from vsmooth.data.sources.load import known_image_shape, list_sources, load_dataset
from vsmooth.data.sources.outliers import Outliers, Wanted, list_outlier_sources, load_outliers
from vsmooth.data.sources.unlabelled import load_images
from vsmooth.data.storage.dataset import Dataset, Split
from vsmooth.data.storage.files import FileSet
from vsmooth.data.storage.images import ImageSet

__all__ = [
    "NO_AUGMENTATION",
    "NO_MIXING",
    "Augmentation",
    "Batch",
    "BatchPlan",
    "BatchSource",
    "Batches",
    "Dataset",
    "FileSet",
    "ImageSet",
    "KnownSet",
    "Mixing",
    "Outliers",
    "Paired",
    "Placement",
    "Split",
    "StreamedBatches",
    "Wanted",
    "known_image_shape",
    "known_set",
    "list_known_sets",
    "list_outlier_sources",
    "list_sources",
    "load_dataset",
    "load_images",
    "load_outliers",
    "make_batches",
]
