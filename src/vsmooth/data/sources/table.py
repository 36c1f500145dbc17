"""What parquet files and Hub data sets share: the Hugging Face image layout of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsmooth.data.extras import import_extra
from vsmooth.data.storage.encoded import LazyColumn, Listing, Rows

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label")
LARGEST_LABEL = 2**63 - 1


def pick_columns(columns: Sequence[str], where: str) -> tuple[str, str]:
    """The names of the image and the label column. Errors: ValueError that lists the columns there are."""
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    label = next((name for name in LABEL_COLUMNS if name in columns), None)
    if image is None or label is None:
        raise ValueError(
            f"{where} needs an image column ({' or '.join(IMAGE_COLUMNS)}) and a label column "
            f"({' or '.join(LABEL_COLUMNS)}), but has {', '.join(columns) or 'no columns'}"
        )
    return image, label


def image_column(columns: Sequence[str], where: str) -> str:
    """The name of the image column, of a table that may lack labels. Errors: as `pick_columns`."""
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    if image is None:
        found = ", ".join(columns) or "no columns"
        raise ValueError(f"{where} needs an image column ({' or '.join(IMAGE_COLUMNS)}), but has {found}")
    return image


def list_rows(
    cells: list[Any] | LazyColumn, labels: Iterable[Any], where: str, folders: Sequence[Path] = ()
) -> Listing:
    """Image cells ({"bytes", "path"} or bytes; paths inside `folders`) and integer labels; rows are named in errors."""
    if not len(cells):
        raise ValueError(f"{where} has no rows")
    return Listing(Rows(cells, where, folders), _labels(labels, where))


def list_table(table: Any, where: str, folders: Sequence[Path] = ()) -> Listing:
    """A split of a `datasets.DatasetDict`; images stay on the disk until they are read."""
    datasets = import_extra("datasets", "reading a table of images")
    image, label = pick_columns(table.column_names, where)
    if isinstance(table.features[image], datasets.Image):
        # Undecoded, so that the pixels come from the same decoder as those of every other source.
        table = table.cast_column(image, datasets.Image(decode=False))
    labels = table.select_columns([label]).with_format("arrow")[:][label].to_pylist()
    return list_rows(LazyColumn(table, image), labels, where, folders)


def class_names(names: Sequence[str] | None, train: Listing, where: str) -> tuple[str, ...]:
    """The given names, or else "0", "1", ... up to the largest train label.

    Errors: ValueError where nothing names the classes and their numbers have gaps: a single wrong label would
    otherwise make classes that do not exist.
    """
    if names is not None:
        return tuple(names)
    found = train.labels.unique().tolist()
    if found != list(range(len(found))):
        gap = next(number for number, label in enumerate(found) if number != label)
        raise ValueError(
            f"{where}: train labels go up to {found[-1]}, but no image has the label {gap}; number the classes "
            f"0..{len(found) - 1}, or name all of them in classes.json or in the schema"
        )
    return tuple(str(label) for label in found)


def _labels(labels: Iterable[Any], where: str) -> Tensor:
    values = list(labels)
    for row, value in enumerate(values):
        if not isinstance(value, int) or not 0 <= value <= LARGEST_LABEL:
            raise ValueError(f"{where}, row {row} has the label {value!r}; labels must be integers 0..K-1")
    return torch.tensor(values, dtype=torch.int64)
