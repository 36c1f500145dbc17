"""What parquet files and Hub data sets share: the Hugging Face image layout of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsmooth.data.decode import decode_images
from vsmooth.data.images import ImageSet

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label")


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


def make_image_set(cells: Sequence[Any], labels: Iterable[Any], where: str) -> ImageSet:
    """Image cells ({"bytes", "path"} or bytes) and integer labels -> ImageSet; rows are named in errors."""
    if not cells:
        raise ValueError(f"{where} has no rows")
    return ImageSet(decode_images(*_encoded(cells, where)), _labels(labels, where))


def class_names(names: Sequence[str] | None, *label_sets: Tensor) -> tuple[str, ...]:
    """The given names, or else "0", "1", ... up to the largest label."""
    if names is not None:
        return tuple(names)
    return tuple(str(index) for index in range(max(int(labels.max()) for labels in label_sets) + 1))


def _encoded(cells: Sequence[Any], where: str) -> tuple[list[bytes | Path], Callable[[int], str]]:
    def name_of(row: int) -> str:
        return f"{where}, row {row}"

    return [_content(cell, name_of(row)) for row, cell in enumerate(cells)], name_of


def _content(cell: Any, name: str) -> bytes | Path:
    if isinstance(cell, bytes):
        return cell
    content, path = (cell or {}).get("bytes"), (cell or {}).get("path")
    if content is not None:
        return bytes(content)
    if path is not None and Path(path).is_file():
        return Path(path)
    raise ValueError(f"{name} has no image bytes (path: {path})")


def _labels(labels: Iterable[Any], where: str) -> Tensor:
    values = list(labels)
    for row, value in enumerate(values):
        if not isinstance(value, int):
            raise ValueError(f"{where}, row {row} has the label {value!r}; labels must be integers 0..K-1")
    return torch.tensor(values, dtype=torch.int64)
