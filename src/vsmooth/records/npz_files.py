"""Reading npz and npy files that may be missing, damaged, hostile or something else."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_UNPACKED = 2**29  # bytes that a packed file of any size may unpack to; a larger one must be as large on the disk
_DAMAGED = (ValueError, EOFError, OSError, OverflowError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def is_npy(path: Path) -> bool:
    """Whether a file begins as numpy.save begins one."""
    try:
        with path.open("rb") as file:
            return file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX
    except OSError:
        return False


def read_arrays(path: str | os.PathLike[str], content: str) -> dict[str, np.ndarray]:
    """All arrays of an npz file by name; ValueError naming the file and the `content` it should hold."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no {content} file at {path}")
    if not zipfile.is_zipfile(path):
        what = "a single array" if is_npy(path) else "cut off, or something else"
        raise ValueError(f"{path} is not a readable npz of {content}: {what}, not an npz archive as numpy.savez writes")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_unpacked(sum(member.file_size for member in members), path.stat().st_size)
            return {member.filename.removesuffix(".npy"): _member(archive, member) for member in members}
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a readable npz of {content}: {error}") from error


def read_array(path: str | os.PathLike[str], content: str) -> np.ndarray:
    """The array of an npy file; ValueError as `read_arrays`."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file of {content} at {path}")
    if not is_npy(path):
        raise ValueError(f"{path} is not a readable npy file of {content}: numpy.save writes them")
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size)
    except _DAMAGED as error:
        raise ValueError(f"{path} is not a readable npy file of {content}: {error}") from error


def _check_unpacked(unpacked: int, packed: int) -> None:
    if unpacked > max(_UNPACKED, 2 * packed):
        raise ValueError(f"its {packed:,} bytes claim to hold {unpacked:,}")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        _check_header(file, member.file_size)
    with archive.open(member) as file:  # from the start again, to its end, where the checksum is compared
        return npy.read_array(file, allow_pickle=False)


def _read(file: IO[bytes], size: int) -> np.ndarray:
    _check_header(file, size)
    file.seek(0)
    return npy.read_array(file, allow_pickle=False)


def _check_header(file: IO[bytes], size: int) -> None:
    """ValueError unless the header tells numbers that fill the `size` bytes: numpy would reserve whatever it tells."""
    shape, dtype = _header(file)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        what = "Python objects" if dtype.hasobject else f"{dtype}"
        raise ValueError(f"it holds {what}, not numbers of at most 64 bits")
    held = size - file.tell()
    if math.prod(shape) * dtype.itemsize != held or min(shape, default=0) < 0:
        raise ValueError(f"its header tells of {dtype} of shape {_brief(shape)}, but {held:,} bytes follow")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"its header has version {version}, which numbers do not need")
    try:
        shape, _, dtype = _HEADERS[version](file)
    except (SyntaxError, TokenError, RecursionError) as error:  # the header is the text of a Python dict
        raise ValueError(f"its header cannot be read ({error})") from None
    return shape, dtype


def _brief(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) <= 60 else f"{text[:60]}..."
