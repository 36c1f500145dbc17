"""Penultimate activations, all logits and the classifier's rows of one split, in memory or as an npz file."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vsmooth.atomic import replacing
from vsmooth.metrics.inputs import check_labels
from vsmooth.records.npz_files import read_arrays
from vsmooth.records.predictions import Predictions


@dataclass(frozen=True, eq=False)
class Features:
    """Of N samples: activations (N, D) and logits (N, K + V), float32, and labels (N,) int64, all on the CPU.

    The classifier's rows, float32: real (K, D) with their bias (K,), zeros if it has none, and virtual (V, D), V >= 0.
    ValueError for shapes that do not fit, NaN or Inf, and labels outside 0..K-1.
    """

    activations: Tensor
    logits: Tensor
    labels: Tensor
    real_templates: Tensor
    real_bias: Tensor
    virtual_templates: Tensor

    def __post_init__(self) -> None:
        for name in ("activations", "logits", "real_templates", "virtual_templates", "real_bias"):
            table, axes = getattr(self, name), 1 if name == "real_bias" else 2
            if table.ndim != axes or not table.is_floating_point():
                found = f"{table.dtype} {tuple(table.shape)}"
                raise ValueError(f"{name} must be floating point with {axes} dimension{'s'[: axes > 1]}, got {found}")
            if not table.isfinite().all():
                raise ValueError(f"{name} hold NaN or Inf; has training diverged?")
        samples, width = self.activations.shape
        rows = self.num_classes + self.num_virtual
        expected = {
            "logits": (samples, rows),
            "real_templates": (self.num_classes, width),
            "real_bias": (self.num_classes,),
            "virtual_templates": (self.num_virtual, width),
        }
        for name, shape in expected.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(f"{name} must be {shape} to fit the rest, got {tuple(getattr(self, name).shape)}")
        check_labels(self.labels, samples, self.num_classes)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.real_templates)

    @property
    def num_virtual(self) -> int:
        """V, 0 for a plain model."""
        return len(self.virtual_templates)

    @property
    def predictions(self) -> Predictions:
        """The logits of the real classes, with the labels."""
        return Predictions(self.logits[:, : self.num_classes], self.labels)

    def save(self, path: str | os.PathLike[str], *, half: bool = False) -> None:
        """Write an npz; `half` stores float16, half the size, ValueError where a number does not fit it."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        if half:
            arrays = {n: a.half() if a.is_floating_point() else a for n, a in arrays.items()}
            too_large = [n for n, a in arrays.items() if not a.isfinite().all()]
            if too_large:
                raise ValueError(f"{too_large[0]} do not fit float16 (above 65504): save with half=False")
        with replacing(Path(path)) as partial, partial.open("wb") as file:
            np.savez(file, **{name: array.numpy() for name, array in arrays.items()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Features:
        """Read what `save` wrote, as float32; ValueError naming a file that is missing, damaged or something else."""
        arrays = read_arrays(path, "features")
        names = [field.name for field in fields(cls)]
        missing = sorted(set(names) - arrays.keys())
        if missing:
            raise ValueError(f"{path} has no array {missing[0]!r}, only {sorted(arrays)}")
        try:
            tensors = {name: torch.from_numpy(arrays[name]) for name in names}
            return cls(**{name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error
