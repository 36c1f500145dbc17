"""The data set shipped with the package: 6,000 + 2,000 images of Fashion-MNIST. See README.md beside this file."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import torch
from torch import Tensor

from vsmooth.data.storage.dataset import Dataset
from vsmooth.data.storage.decode import decode_images
from vsmooth.data.storage.images import ImageSet

NAME = "fashion-mnist-subset"
IMAGE_SHAPE = (1, 28, 28)


def load_embedded(folder: Traversable | None = None) -> Dataset:
    """The embedded set (grey, 28x28, 10 classes, balanced); `folder` is another place with the same files.

    Errors: ValueError when a file is missing or its SHA-256 is not the recorded one.
    """
    folder = folder or files(__name__)
    manifest = json.loads(_read(folder / "manifest.json"))
    train, test = (_load_split(folder, manifest, split) for split in ("train", "test"))
    return Dataset(NAME, tuple(manifest["classes"]), train, test)


def _load_split(folder: Traversable, manifest: dict[str, Any], split: str) -> ImageSet:
    entry = manifest["splits"][split]
    path = folder / entry["file"]
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != entry["sha256"]:
        raise ValueError(
            f"the embedded data file {path} is damaged: its SHA-256 is {found[:12]}..., "
            f"recorded is {entry['sha256'][:12]}...; reinstall vsmooth"
        )
    mosaic = decode_images([content], lambda _: str(path))[0]
    labels = torch.arange(entry["count"]) % len(manifest["classes"])
    return ImageSet(_cut_tiles(mosaic, *manifest["tile"]), labels)


def _cut_tiles(mosaic: Tensor, height: int, width: int) -> Tensor:
    """(C, rows * H, columns * W) -> (rows * columns, C, H, W), row by row."""
    tiles = mosaic.unfold(1, height, height).unfold(2, width, width)
    return tiles.permute(1, 2, 0, 3, 4).reshape(-1, mosaic.shape[0], height, width)


def _read(path: Traversable) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"the embedded data file {path} is missing; reinstall vsmooth") from error
