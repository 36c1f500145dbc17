"""Storage of encoded images: files in a folder, or rows of a table."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from vsmooth.data.extras import import_extra
from vsmooth.data.storage.decode import Encoded, UnreadableImageError


class Stored(Encoded, Protocol):
    """Encoded images that have names and sizes. Reading one may raise UnreadableImageError."""

    def name(self, index: int) -> str:
        """What to call image `index` in a message."""

    def sizes(self) -> Tensor:
        """(N,) int64: bytes of each image; 0 where it is missing, empty or not a regular file."""

    def identity(self, indices: Tensor) -> bytes:
        """What tells these images from others, as far as it can be known without reading them."""


class Listing(NamedTuple):
    """One split as it is stored; labels: (N,) int64."""

    images: Stored
    labels: Tensor


class Files:
    """Image files below `root`, by their relative names with '/'."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        numpy = import_extra("numpy", "reading image files")
        self.root = root
        # One array and no list: a million Python strings would be copied into every worker, page by page.
        self.names = numpy.array([os.fsencode(name) for name in names])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Path:
        return self.root / os.fsdecode(bytes(self.names[index]))

    def name(self, index: int) -> str:
        return str(self[index])

    def sizes(self) -> Tensor:
        root = os.fsencode(self.root)
        return torch.tensor([_file_size(os.path.join(root, name)) for name in self.names.tolist()], dtype=torch.int64)

    def identity(self, indices: Tensor) -> bytes:
        return b"\0".join(self.names[indices.numpy()].tolist())


class Rows:
    """Image cells ({"bytes", "path"} or bytes) of a table, read when they are asked for; rows are named in errors.

    A cell with a path and no bytes is a file inside one of `folders`, where relative paths begin; a table must not
    make us read any other file.
    """

    def __init__(self, cells: list[Any] | LazyColumn, where: str, folders: Sequence[Path] = ()) -> None:
        self.cells = cells
        self.where = where
        self.folders = [os.path.realpath(folder) for folder in folders]

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, index: int) -> bytes | Path:
        cell = self.cells[index]
        if isinstance(cell, bytes):
            return cell
        content, path = (cell or {}).get("bytes"), (cell or {}).get("path")
        if content is not None:
            return bytes(content)
        file = None if path is None else self._find(path)
        if file is None:
            raise UnreadableImageError(
                f"{self.name(index)} has no image bytes, and the data's folder has no such file (path: {path})"
            )
        return file

    def _find(self, path: str) -> Path | None:
        if "\0" in path:
            return None
        for folder in self.folders:
            file = Path(os.path.realpath(os.path.join(folder, path)))
            if file.is_relative_to(folder) and file.is_file():
                return file
        return None

    def name(self, index: int) -> str:
        return f"{self.where}, row {index}"

    def sizes(self) -> Tensor:
        known = self.cells.byte_counts() if isinstance(self.cells, LazyColumn) else torch.zeros(len(self))
        sizes = known.to(torch.int64)
        for index in (sizes == 0).nonzero().flatten().tolist():
            sizes[index] = self._size(index)
        return sizes

    def _size(self, index: int) -> int:
        try:
            content = self[index]
        except UnreadableImageError:
            return 0
        return len(content) if isinstance(content, bytes) else _file_size(content)

    def identity(self, indices: Tensor) -> bytes:
        return indices.numpy().tobytes()


class LazyColumn:
    """One column of a memory-mapped `datasets.Dataset`; a row is read when it is asked for."""

    def __init__(self, table: Any, column: str) -> None:
        self.table = table.select_columns([column])
        self.column = column

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Any:
        return self.table[index][self.column]

    def byte_counts(self) -> Tensor:
        """(N,) bytes of each cell, from the offsets of the Arrow column; 0 for a cell that has none."""
        compute = import_extra("pyarrow.compute", "reading a table of images")
        types = import_extra("pyarrow.types", "reading a table of images")
        column = self.table.with_format("arrow")[:][self.column]
        content = compute.struct_field(column, "bytes") if types.is_struct(column.type) else column
        return torch.tensor(compute.fill_null(compute.binary_length(content), 0).to_numpy())


def _file_size(path: Path | bytes) -> int:
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
