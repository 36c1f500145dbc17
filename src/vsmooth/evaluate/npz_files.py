"""Reading npz files that may be missing, damaged or something else."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np


def read_arrays(path: str | os.PathLike[str], content: str) -> dict[str, np.ndarray]:
    """All arrays of an npz file by name; ValueError naming the file and the `content` it should hold."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no {content} file at {path}")
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            raise ValueError("a single array, not an npz archive")
        with found:
            return {name: found[name] for name in found.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a readable npz of {content}: {error}") from error
