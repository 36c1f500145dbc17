"""Tiny-ImageNet-200 as it is distributed: `wnids.txt`, `words.txt`, `train/<wnid>/images/`, `val/val_annotations.txt`.

Its test split has no labels, so `val` is the test split here. Classes are ordered by WordNet id, as in a folder of
images, and named by `words.txt`.
"""

from __future__ import annotations

from pathlib import Path

import torch

from vsmooth.data.sources.assemble import Loading, assemble
from vsmooth.data.sources.folder import class_folders, image_files
from vsmooth.data.sources.known_sets import KNOWN_SETS
from vsmooth.data.sources.roots import data_root
from vsmooth.data.storage.dataset import Dataset
from vsmooth.data.storage.encoded import Files, Listing

NAME = "tiny-imagenet"
FOLDER = "tiny-imagenet-200"
ANNOTATIONS = "val_annotations.txt"


def is_tiny_imagenet(folder: Path) -> bool:
    """Whether the folder is laid out as Tiny-ImageNet-200 is."""
    pieces = any((folder / "train").glob("*/images")) or (folder / "val" / "images").is_dir()
    return pieces and (folder / "wnids.txt").is_file()


def load_tiny_imagenet_by_name(loading: Loading) -> Dataset:
    """Load all 200 classes from the data root. Errors: as `load_tiny_imagenet`; where to get it, if it is not there."""
    folder = data_root() / FOLDER
    if not folder.is_dir():
        raise ValueError(
            f"{NAME!r} is not there: looked for {folder}; unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip "
            "there, or set VSMOOTH_DATA to the folder that holds it"
        )
    dataset = load_tiny_imagenet(folder, loading)
    wanted = KNOWN_SETS[NAME].num_classes
    if dataset.num_classes != wanted:
        raise ValueError(
            f"{folder} has {dataset.num_classes} classes, but {NAME} has {wanted}: unpack it again, or give the folder "
            "itself as the source for a part of it"
        )
    return dataset


def load_tiny_imagenet(folder: Path, loading: Loading) -> Dataset:
    """Load a folder of this layout, of any number of classes. Errors: ValueError naming what is missing or wrong."""
    wnids = sorted(line.strip() for line in _lines(folder / "wnids.txt"))
    listings = {"train": _list_train(folder / "train", wnids), "test": _list_val(folder / "val", wnids)}
    return assemble(folder.name, _names(folder / "words.txt", wnids), listings, loading, rgb=True)


def _list_train(place: Path, wnids: list[str]) -> Listing:
    found = set(class_folders(place)) if place.is_dir() else set()
    if found != set(wnids):
        missing, unknown = sorted(set(wnids) - found), sorted(found - set(wnids))
        raise ValueError(
            f"{place} does not have the {len(wnids)} classes of wnids.txt: missing {_few(missing)}; "
            f"unknown {_few(unknown)}"
        )
    files: list[str] = []
    labels: list[int] = []
    for index, wnid in enumerate(wnids):
        names = image_files(place / wnid / "images")
        if not names:
            raise ValueError(f"{place / wnid / 'images'} has no images")
        files += [f"{wnid}/images/{name}" for name in names]
        labels += [index] * len(names)
    return Listing(Files(place, files), torch.tensor(labels))


def _list_val(place: Path, wnids: list[str]) -> Listing:
    """In the order of the annotations: file, WordNet id and a box, separated by tabs."""
    index_of = {wnid: index for index, wnid in enumerate(wnids)}
    files: list[str] = []
    labels: list[int] = []
    for number, line in enumerate(_lines(place / ANNOTATIONS), start=1):
        columns = line.split("\t")
        if len(columns) < 2 or columns[1] not in index_of:
            raise ValueError(
                f"{place / ANNOTATIONS}, line {number}: expected a file, a tab and an id of wnids.txt, got {line!r}"
            )
        files.append(f"images/{columns[0]}")
        labels.append(index_of[columns[1]])
    return Listing(Files(place, files), torch.tensor(labels))


def _names(path: Path, wnids: list[str]) -> tuple[str, ...]:
    """The words of each id; the id itself where there are none, and beside words that two ids share."""
    words = dict(line.split("\t", 1) for line in _lines(path) if "\t" in line) if path.is_file() else {}
    names = [words.get(wnid, wnid) for wnid in wnids]
    return tuple(
        f"{name} ({wnid})" if names.count(name) > 1 else name for name, wnid in zip(names, wnids, strict=True)
    )


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(f"{path} is missing; it is a part of Tiny-ImageNet-200 as distributed")
    lines = [line.rstrip("\r\n") for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"{path} is empty")
    return lines


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more if names else "none"
