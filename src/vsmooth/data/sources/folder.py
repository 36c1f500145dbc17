"""A folder of image files: `train/<class>/x.png` and `test/<class>/x.png`.

Without `test`, `val` or `validation` is the test split. Classes are the folder names in `train`, in
lexicographic order; samples are ordered by class and file name.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from vsmooth.data.sources.assemble import Loading, assemble
from vsmooth.data.storage.dataset import Dataset, Statistics
from vsmooth.data.storage.encoded import Files, Listing

SPLIT_FOLDERS = {"train": ("train",), "test": ("test", "val", "validation")}
SUFFIXES = (".jpeg", ".jpg", ".png")


def find_split_folder(folder: Path, split: str) -> Path | None:
    """The folder of a split, or None."""
    return next((folder / name for name in SPLIT_FOLDERS[split] if (folder / name).is_dir()), None)


def load_folder(folder: Path, loading: Loading) -> Dataset:
    """Load the two splits of a folder. Errors: ValueError naming the folder or file and the problem."""
    return load_splits(folder.name, {split: _require_split(folder, split) for split in SPLIT_FOLDERS}, loading)


def load_splits(name: str, places: dict[str, Path], loading: Loading, statistics: Statistics | None = None) -> Dataset:
    """Load the splits whose class folders are in `places`. Errors: as `load_folder`."""
    classes = class_folders(places["train"])
    unknown = sorted(set(class_folders(places["test"])) - set(classes))
    if unknown:
        raise ValueError(f"{places['test']} has classes that {places['train']} has not: {', '.join(unknown)}")
    listings = {split: _list_split(place, classes) for split, place in places.items()}
    empty = sorted(set(classes) - {classes[label] for label in listings["train"].labels.tolist()})
    if empty:
        raise ValueError(f"{places['train']} has class folders without images: {', '.join(empty)}; fill or remove them")
    return assemble(name, tuple(classes), listings, loading, statistics=statistics)


def class_folders(place: Path) -> list[str]:
    """Names of the folders in `place`, sorted."""
    return sorted(
        entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def image_files(place: Path) -> list[str]:
    """Names of the image files in `place`, sorted; empty if there is no such folder."""
    if not place.is_dir():
        return []
    return sorted(name for name in os.listdir(place) if name.lower().endswith(SUFFIXES) and name[0] != ".")


def _list_split(place: Path, classes: list[str]) -> Listing:
    files: list[str] = []
    labels: list[int] = []
    for index, name in enumerate(classes):
        found = image_files(place / name)
        files += [f"{name}/{file}" for file in found]
        labels += [index] * len(found)
    if not files:
        raise ValueError(f"{place} has no images: looked for <class>/*{', *'.join(SUFFIXES)} in it")
    return Listing(Files(place, files), torch.tensor(labels))


def _require_split(folder: Path, split: str) -> Path:
    place = find_split_folder(folder, split)
    if place is None:
        names = " or ".join(f"{name}/" for name in SPLIT_FOLDERS[split])
        raise ValueError(f"{folder} has no {split} split: looked for a folder {names} in it")
    return place
