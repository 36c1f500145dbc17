"""The folder of the data sets that are loaded by name."""

from __future__ import annotations

import os
from pathlib import Path


def data_root() -> Path:
    """$VSMOOTH_DATA, or else ~/.cache/vsmooth."""
    return Path(os.environ.get("VSMOOTH_DATA") or Path.home() / ".cache" / "vsmooth").absolute()
