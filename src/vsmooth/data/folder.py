"""A folder of image files: `train/<class>/x.png` and `test/<class>/x.png`.

Where there is no `test`, `val` or `validation` stands in. Classes are the folder names in `train`, in
lexicographic order; samples are ordered by class and file name.
"""

from __future__ import annotations

from pathlib import Path

import torch

from vsmooth.data.decode import decode_images
from vsmooth.data.images import Dataset, ImageSet

SPLIT_FOLDERS = {"train": ("train",), "test": ("test", "val", "validation")}
SUFFIXES = {".png", ".jpg", ".jpeg"}


def find_split_folder(folder: Path, split: str) -> Path | None:
    """The folder of a split, or None."""
    return next((folder / name for name in SPLIT_FOLDERS[split] if (folder / name).is_dir()), None)


def load_folder(folder: Path) -> Dataset:
    """Load the two splits of a folder. Errors: ValueError naming the folder or file and the trouble."""
    places = {split: _require_split(folder, split) for split in SPLIT_FOLDERS}
    classes = _class_folders(places["train"])
    unknown = sorted(set(_class_folders(places["test"])) - set(classes))
    if unknown:
        raise ValueError(f"{places['test']} has classes that {places['train']} has not: {', '.join(unknown)}")
    sets = {split: _read_split(place, classes) for split, place in places.items()}
    return Dataset(folder.name, tuple(classes), sets["train"], sets["test"])


def _require_split(folder: Path, split: str) -> Path:
    place = find_split_folder(folder, split)
    if place is None:
        names = " or ".join(f"{name}/" for name in SPLIT_FOLDERS[split])
        raise ValueError(f"{folder} has no {split} split: looked for a folder {names} in it")
    return place


def _class_folders(place: Path) -> list[str]:
    return sorted(
        entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _read_split(place: Path, classes: list[str]) -> ImageSet:
    files: list[Path] = []
    labels: list[int] = []
    for index, name in enumerate(classes):
        found = _image_files(place / name)
        files += found
        labels += [index] * len(found)
    if not files:
        raise ValueError(f"{place} has no images: looked for <class>/*{', *'.join(sorted(SUFFIXES))} in it")
    return ImageSet(decode_images(files, lambda index: str(files[index])), torch.tensor(labels))


def _image_files(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
