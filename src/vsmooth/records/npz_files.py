"""Reading npz files that may be missing, damaged or something else."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

_NPY = b"\x93NUMPY"


def is_npy(path: Path) -> bool:
    """Whether a file begins as numpy.save begins one."""
    try:
        with path.open("rb") as file:
            return file.read(len(_NPY)) == _NPY
    except OSError:
        return False


def read_arrays(path: str | os.PathLike[str], content: str) -> dict[str, np.ndarray]:
    """All arrays of an npz file by name; ValueError naming the file and the `content` it should hold."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no {content} file at {path}")
    if not zipfile.is_zipfile(path):  # numpy would take it for a pickle, and advise to unpickle it
        what = "a single array" if is_npy(path) else "cut off, or something else"
        raise ValueError(f"{path} is not a readable npz of {content}: {what}, not an npz archive as numpy.savez writes")
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        reason = "it holds Python objects, not numbers" if "allow_pickle" in str(error) else str(error)
        raise ValueError(f"{path} is not a readable npz of {content}: {reason}") from error
