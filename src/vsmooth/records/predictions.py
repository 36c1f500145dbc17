"""The logits and labels of one split: what every evaluator and report reads, in memory or as an npz file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vsmooth.atomic import replacing
from vsmooth.metrics.inputs import check_logits
from vsmooth.records.npz_files import read_arrays


@dataclass(frozen=True, eq=False)
class Predictions:
    """Logits (N, K) float32 of the real classes and labels (N,) int64, on the CPU.

    ValueError for shapes that do not fit, K < 2, no samples, NaN or infinite logits, and labels outside
    0..K-1.
    """

    logits: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        check_logits(self.logits, self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def probabilities(self) -> Tensor:
        """softmax(logits), (N, K) float64."""
        return self.logits.double().softmax(1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an npz with `logits` and `labels`; the file at `path` is the old one or the whole new one."""
        with replacing(Path(path)) as partial, partial.open("wb") as file:
            np.savez(file, logits=self.logits.numpy(), labels=self.labels.numpy())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Predictions:
        """Read what `save` wrote; ValueError naming the file if it is missing, damaged or something else."""
        path = Path(path)
        arrays = read_arrays(path, "predictions")
        missing = {"logits", "labels"} - arrays.keys()
        if missing:
            raise ValueError(f"{path} has no array {sorted(missing)[0]!r}, only {sorted(arrays)}")
        try:
            logits = torch.from_numpy(arrays["logits"])
            labels = torch.from_numpy(arrays["labels"])
            return cls(logits.float() if logits.is_floating_point() else logits, labels)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error

