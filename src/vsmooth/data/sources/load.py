"""One line for every kind of data: `load_dataset(source)`."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from vsmooth.data.sources import embedded, imagenet, tiny_imagenet
from vsmooth.data.sources.assemble import Loading
from vsmooth.data.sources.folder import SPLIT_FOLDERS, find_split_folder, load_folder
from vsmooth.data.sources.hub import load_hub
from vsmooth.data.sources.known_sets import KNOWN_SETS
from vsmooth.data.sources.parquet import SPLIT_PREFIXES, find_split_files, load_parquet
from vsmooth.data.sources.torchvision_sets import TORCHVISION_SETS, load_torchvision
from vsmooth.data.storage.dataset import Dataset
from vsmooth.texts import check_unicode

EMBEDDED = ("embedded", embedded.NAME)
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def list_sources() -> dict[str, str]:
    """The names that `load_dataset` knows, each with one line on what it is."""
    own = "shipped with vsmooth: 6,000 + 2,000 grey 28x28, 10 classes of clothes (a tenth of Fashion-MNIST)"
    sources = {EMBEDDED[0]: own, EMBEDDED[1]: f"the same as {EMBEDDED[0]!r}"}
    downloaded = {name: f"torchvision: {entry.description}" for name, entry in TORCHVISION_SETS.items()}
    own_folders = {
        tiny_imagenet.NAME: f"{KNOWN_SETS[tiny_imagenet.NAME].description}, in $VSMOOTH_DATA/{tiny_imagenet.FOLDER}",
        imagenet.NAME: f"{KNOWN_SETS[imagenet.NAME].description}, streamed from $VSMOOTH_DATA/{imagenet.NAME}",
    }
    return sources | downloaded | own_folders


def known_image_shape(source: str) -> tuple[int, int, int] | None:
    """(C, H, W) of the images behind a name, without reading them; None for sources whose images must be looked at."""
    if source in EMBEDDED:
        return embedded.IMAGE_SHAPE
    found = TORCHVISION_SETS.get(source) or KNOWN_SETS.get(source)
    return None if found is None else found.image_shape


def load_dataset(source: str, *, image_size: int | None = None, skip_broken: bool = False) -> Dataset:
    """Load a data set from whatever `source` names.

    - "embedded" (or "fashion-mnist-subset"): the set shipped with the package;
    - "cifar10", "cifar100", "svhn", "mnist", "fashion-mnist": torchvision, kept in $VSMOOTH_DATA or
      ~/.cache/vsmooth;
    - "tiny-imagenet", "imagenet": your copy, in $VSMOOTH_DATA/tiny-imagenet-200 and $VSMOOTH_DATA/imagenet;
    - a folder of `train*.parquet` and `test*.parquet`, of `train/<class>/x.png` and `test/<class>/x.png`, or laid
      out as Tiny-ImageNet-200;
    - "hub:owner/name", or "owner/name" where no such folder exists: the Hugging Face Hub.

    A name takes precedence over a folder of the same name; write "./cifar10" for the folder.
    `image_size`: leave the images encoded and stream crops of that many pixels (imagenet: 224 if not given); without
    it all images must have the same size and are held in memory. `skip_broken`: skip unreadable images;
    `Dataset.skipped` has their names.
    Errors: ValueError that says what was looked for and where; ModuleNotFoundError for a missing package.
    """
    check_unicode("the name of the data", source)
    loading = Loading(image_size, skip_broken)
    if source in EMBEDDED or source in TORCHVISION_SETS:
        _check_resident(source, image_size)
        return embedded.load_embedded() if source in EMBEDDED else load_torchvision(source)
    if source == tiny_imagenet.NAME:
        return tiny_imagenet.load_tiny_imagenet_by_name(loading)
    if source == imagenet.NAME:
        return imagenet.load_imagenet(loading)
    if source.startswith("hub:"):
        return _load_hub_name(source, loading)
    path = Path(source).expanduser().absolute()
    if source and path.is_dir():
        return _load_directory(path, loading)
    if HUB_NAME.fullmatch(source):
        return load_hub(source, loading)
    raise ValueError(_unknown_source(source, path))


def _check_resident(source: str, image_size: int | None) -> None:
    if image_size is not None:
        raise ValueError(
            f"image_size={image_size} does not go with {source!r}, whose images are kept in memory at their own size; "
            "it is for folders of images, parquet files, the Hub and imagenet"
        )


def _load_hub_name(source: str, loading: Loading) -> Dataset:
    name = source.removeprefix("hub:")
    if not HUB_NAME.fullmatch(name):
        raise ValueError(f"{source!r} is not a Hub name; write it as hub:owner/name")
    return load_hub(name, loading)


def _load_directory(path: Path, loading: Loading) -> Dataset:
    if any(find_split_files(path, split) for split in SPLIT_PREFIXES):
        return load_parquet(path, loading)
    if tiny_imagenet.is_tiny_imagenet(path):
        return tiny_imagenet.load_tiny_imagenet(path, loading)
    if any(find_split_folder(path, split) for split in SPLIT_FOLDERS):
        return load_folder(path, loading)
    found = sorted(entry.name for entry in path.iterdir())
    raise ValueError(
        f"{path} holds no data set: looked for train*.parquet and test*.parquet in it and in its data/, and "
        f"for train/<class>/*.png and test/<class>/*.png; found {', '.join(found[:8]) or 'nothing'}"
    )


def _unknown_source(source: str, path: Path) -> str:
    names = list(list_sources())
    close = difflib.get_close_matches(source.lower(), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if source and path.exists():
        return f"data source {source!r} is a file ({path}); give the folder that holds the splits"
    return (
        f"unknown data source {source!r}: {hint}Looked for a name ({', '.join(names)}), a folder {path}, "
        "and a Hub name owner/name"
    )
