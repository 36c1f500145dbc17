"""ImageNet (ILSVRC 2012) by name: `train/<wnid>/x.JPEG` and `val/<wnid>/x.JPEG` below the data root, streamed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vsmooth.data.sources.assemble import Loading
from vsmooth.data.sources.folder import class_folders, image_files, load_splits
from vsmooth.data.sources.known_sets import KNOWN_SETS
from vsmooth.data.sources.roots import data_root
from vsmooth.data.storage.dataset import Dataset

NAME = "imagenet"
FOLDERS = {"train": "train", "test": "val"}


def load_imagenet(loading: Loading) -> Dataset:
    """Load all 1,000 classes, `val` as the test split; crops of 224 pixels unless `loading` says otherwise.

    Errors: ValueError naming the folder that is missing or does not have the 1,000 classes.
    """
    known = KNOWN_SETS[NAME]
    folder = data_root() / NAME
    places = {split: folder / name for split, name in FOLDERS.items()}
    for place in places.values():
        _check_place(place, known.num_classes)
    if loading.image_size is None:
        loading = replace(loading, image_size=known.image_shape[1])
    return load_splits(NAME, places, loading, statistics=(known.mean, known.std))


def _check_place(place: Path, wanted: int) -> None:
    if not place.is_dir():
        raise ValueError(
            f"{NAME!r} is not there: looked for {place}/<wnid>/*.JPEG; get ILSVRC 2012 from https://image-net.org, set "
            f"VSMOOTH_DATA to the folder that holds {NAME}/, or use the Hub with an image size: hub:ILSVRC/imagenet-1k"
        )
    found = len(class_folders(place))
    if found == 0 and image_files(place):
        raise ValueError(f"{place} holds images but no class folders; move each image into the folder of its wnid")
    if found != wanted:
        raise ValueError(
            f"{place} has {found} class folders, but ImageNet has {wanted}; for a part of it give the folder itself as "
            "the source, with an image size"
        )
