"""Images without labels, for a method that needs a second part in its batches: `load_images(source)`."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from vsmooth.data.extras import import_extra
from vsmooth.data.sources.folder import SUFFIXES, find_split_folder
from vsmooth.data.sources.parquet import find_split_files, open_parquet, read_columns
from vsmooth.data.sources.table import image_column
from vsmooth.data.storage.dataset import Split
from vsmooth.data.storage.decode import decode_images
from vsmooth.data.storage.encoded import Files, Rows, Stored
from vsmooth.data.storage.files import open_files
from vsmooth.data.storage.images import ImageSet

UNLABELLED = -1
ARRAY_NAMES = ("images", "image", "data")


def load_images(source: str | Path, *, image_size: int | None = None, skip_broken: bool = False) -> Split:
    """Images whose labels are unknown: all labels are -1, which no `Dataset` and no loss accepts.

    source: a folder of PNG and JPEG files, at any depth; or an npy file of one uint8 array (N, H, W, C) or (N, H, W);
    or an npz file with such an array named images, image or data. `image_size`: stream crops of that many pixels (of a
    folder). `skip_broken`: go on without unreadable images.
    Errors: ValueError naming the file and what is wrong with it; an array must be as large as its header says, which
    is checked before memory is taken.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _load_folder(path, image_size, skip_broken)
    if path.suffix not in (".npy", ".npz") or not path.is_file():
        raise ValueError(f"{path} is neither a folder of images nor a .npy or .npz file of images")
    if image_size is not None:
        raise ValueError(f"image_size={image_size} is for folders of images; the images of {path} are kept as they are")
    pixels = _read_npz(path) if path.suffix == ".npz" else _read_npy(path)
    return ImageSet(pixels, _no_labels(len(pixels)))


def list_images(path: Path, split: str = "train") -> Stored:
    """The encoded images of a folder or a parquet file, of any size, in order; labels are not looked at.

    A folder with parquet files: those of the split (else of the other one, else all). A folder with folders of splits:
    that of the split. Any other: its PNG and JPEG files at any depth. Errors: ValueError as `load_images`.
    """
    if path.suffix == ".parquet" or not path.is_dir():
        return _parquet_images([path], path.parent)
    other = "train" if split == "test" else "test"
    tables = find_split_files(path, split) or find_split_files(path, other) or sorted(path.glob("*.parquet"))
    if tables:
        return _parquet_images(tables, path)
    return _image_files(find_split_folder(path, split) or path)


def _parquet_images(paths: list[Path], folder: Path) -> Stored:
    cells: list[Any] = []
    for path in paths:
        file = open_parquet(path)
        column = image_column(file.schema_arrow.names, str(path))
        cells += read_columns(file, path, [column])[column].to_pylist()
    if not cells:
        raise ValueError(f"{paths[0]} has no rows")
    return Rows(cells, str(paths[0]), [folder])


def _image_files(folder: Path) -> Files:
    found = sorted(
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(SUFFIXES) and name[0] != "."
    )
    if not found:
        raise ValueError(f"{folder} has no images: looked for *{', *'.join(SUFFIXES)} at any depth")
    return Files(folder, found)


def _load_folder(folder: Path, image_size: int | None, skip_broken: bool) -> Split:
    images = _image_files(folder)
    if image_size is not None:
        return open_files(images, _no_labels(len(images)), image_size, skip_broken)[0]
    pixels = decode_images(images, images.name, broken=[] if skip_broken else None)
    return ImageSet(pixels, _no_labels(len(pixels)))


def _no_labels(count: int) -> Tensor:
    return torch.full((count,), UNLABELLED)


def _read_npy(path: Path) -> Tensor:
    with path.open("rb") as file:
        return _read_array(file, path.stat().st_size, str(path))


def _read_npz(path: Path) -> Tensor:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {entry.filename: entry for entry in archive.infolist()}
            name = next((f"{name}.npy" for name in ARRAY_NAMES if f"{name}.npy" in members), None)
            if name is None:
                named = ", ".join(member.removesuffix(".npy") for member in members) or "nothing"
                raise ValueError(f"{path} has no array named {', '.join(ARRAY_NAMES)}: it has {named}")
            if members[name].file_size > 1100 * path.stat().st_size:  # more than deflate can do
                raise ValueError(f"{path}: the array {name} claims {members[name].file_size:,} bytes, which cannot be")
            with archive.open(name) as file:
                return _read_array(file, members[name].file_size, f"{path}, array {name.removesuffix('.npy')}")
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path} is not a readable npz file: {error}") from error


def _read_array(file: IO[bytes], size: int, where: str) -> Tensor:
    numpy: Any = import_extra("numpy", "reading arrays")
    layout: Any = import_extra("numpy.lib.format", "reading arrays")
    try:
        version = layout.read_magic(file)
        shape, by_column, dtype = (
            layout.read_array_header_1_0(file) if version == (1, 0) else layout.read_array_header_2_0(file)
        )
    except (ValueError, EOFError) as error:
        raise ValueError(f"{where} is not a readable npy array: {error}") from error
    if dtype != numpy.uint8 or by_column or len(shape) not in (3, 4):
        raise ValueError(f"{where} must be uint8 of shape (N, H, W, C) or (N, H, W), got {dtype} of shape {shape}")
    wanted = math.prod(shape)
    if min(shape) < 1 or wanted > size:
        raise ValueError(f"{where} has a header of shape {shape}, {wanted:,} bytes, but holds at most {size:,}")
    content = file.read(wanted)
    if len(content) != wanted:
        raise ValueError(f"{where} is cut off: {len(content):,} bytes of {wanted:,}")
    pixels = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(shape)
    return (pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)).contiguous()
