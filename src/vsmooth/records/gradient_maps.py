"""Input gradients of a few test images, and how much the maps overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsmooth.atomic import replacing
from vsmooth.metrics import BootstrapInterval
from vsmooth.records.bounds import CORRELATION, Correlation, Count
from vsmooth.records.npz_files import read_arrays

GRADIENTS_FILE = "gradients.npz"
INTEGRATED = "integrated "


@dataclass(frozen=True, eq=False)
class GradientMaps:
    """A few test images (N, C, H, W) in [0, 1], their labels (N,) and gradients by name, each like the images.

    The names: "correct", "incorrect" and, where there are virtual classes, "virtual"; the same after "integrated ".
    """

    images: Tensor
    labels: Tensor
    maps: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or not self.images.is_floating_point():
            raise ValueError(f"images must be floating point (N, C, H, W), got {tuple(self.images.shape)}")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise ValueError(f"labels must be int64 ({len(self.images)},), got {tuple(self.labels.shape)}")
        if not ((self.images >= 0) & (self.images <= 1)).all() or (self.labels < 0).any():
            raise ValueError("images must lie in [0, 1] and labels be at least 0")
        for name, found in self.maps.items():
            if found.shape != self.images.shape or not found.is_floating_point() or not found.isfinite().all():
                what = f"{found.dtype} {tuple(found.shape)}"
                raise ValueError(f"the map {name!r} must be finite and of the images' shape, got {what}")

    def save(self, folder: Path) -> Path:
        """Write `gradients.npz`."""
        arrays: dict[str, Any] = {"images": self.images.numpy(), "labels": self.labels.numpy()}
        arrays |= {f"map {name}": values.numpy() for name, values in self.maps.items()}
        path = folder / GRADIENTS_FILE
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return path

    @classmethod
    def load(cls, folder: Path) -> GradientMaps | None:
        """What `save` wrote in `folder`; None if it did not; ValueError for a file that is something else."""
        path = folder / GRADIENTS_FILE
        if not path.is_file():
            return None
        arrays = read_arrays(path, "input gradients")
        maps = {name.removeprefix("map "): array for name, array in arrays.items() if name.startswith("map ")}
        if not maps or not {"images", "labels"} <= arrays.keys():
            raise ValueError(f"{path} holds no input gradients, only {sorted(arrays)}; delete it and run again")
        try:
            tensors = {name: torch.from_numpy(array) for name, array in maps.items()}
            return cls(torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"]), tensors)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}; delete it and run again") from None


@dataclass(frozen=True)
class Overlap:
    """Similarity of the map of the correct class to another: Spearman over the pixels and cosine, means over images."""

    rank: BootstrapInterval
    cosine: Correlation
    images: Count

    def check_stored(self) -> None:
        """ValueError for a rank correlation that is none."""
        CORRELATION.check(self.rank.value)
