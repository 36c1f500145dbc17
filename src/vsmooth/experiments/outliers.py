"""The outliers of a training: loaded once, checked against the images of the classes, and batched beside them."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from vsmooth.data import (
    NO_MIXING,
    BatchPlan,
    BatchSource,
    Dataset,
    ImageSet,
    Outliers,
    Placement,
    Wanted,
    load_outliers,
    make_batches,
)
from vsmooth.data.seeds import seed_of
from vsmooth.experiments.specs.outlier_stream import OutlierStream

MADE = 10_000  # synthetic outliers of a training, unless a number is asked for
_MADE_SEED = 1  # those of a test have another


@lru_cache(maxsize=2)
def training_outliers(stream: OutlierStream, dataset: Dataset) -> Outliers:
    """The images of a stream in the shape of the data set's.

    ValueError as `load_outliers`, and where all of them are images of the data set.
    """
    base = dataset.train if isinstance(dataset.train, ImageSet) else None
    limit = stream.limit or (MADE if stream.source.partition(":")[0] == "synthetic" else None)
    found = load_outliers(stream.source, Wanted(dataset.image_shape, "train", limit, base, _MADE_SEED))
    if shared_images(found, dataset) == len(found.images):
        raise ValueError(
            f"the outliers {stream.source!r} are images of {dataset.name} itself: give images of none of its classes"
        )
    return found


def shared_images(outliers: Outliers, dataset: Dataset) -> int:
    """How many of the outliers are, pixel by pixel, images of the data set; 0 for a data set that is streamed."""
    resident = [split for split in (dataset.train, dataset.test) if isinstance(split, ImageSet)]
    known = {digest for split in resident for digest in split.digests}
    return sum(digest in known for digest in outliers.images.digests)


def outlier_batches(stream: OutlierStream, dataset: Dataset, plan: BatchPlan, placement: Placement) -> BatchSource:
    """Batches of outliers, augmented as those of `plan`, in an order of their own."""
    outliers = training_outliers(stream, dataset)
    if stream.batch_size > len(outliers.images):
        raise ValueError(
            f"a batch of {stream.batch_size} outliers is more than the {len(outliers.images):,} of {stream.source!r}: "
            "give a smaller --outlier-batch-size"
        )
    own = replace(
        plan, batch_size=stream.batch_size, seed=seed_of("outliers", plan.seed), mixing=NO_MIXING, num_classes=None
    )
    return make_batches(outliers.images, own, placement)


def describe_outliers(stream: OutlierStream, dataset: Dataset) -> str:
    """What the record says of them: "10,000 of outliers_places, digest 0123..., as they are"."""
    found = training_outliers(stream, dataset)
    return f"{len(found.images):,} of {found.name}, digest {found.digest}, {found.rule}"


def doubt_outliers(stream: OutlierStream, dataset: Dataset) -> str | None:
    """A warning with the number of outliers that are images of the data set; None without any."""
    found = training_outliers(stream, dataset)
    shared = shared_images(found, dataset)
    if not shared:
        return None
    return f"{shared:,} of the {len(found.images):,} outliers {stream.source!r} are images of {dataset.name} itself"
