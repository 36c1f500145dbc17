"""Comparisons whose predictions are made up from the recorded accuracies instead of read from files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsmooth.records.comparison import Comparison
from vsmooth.records.run import RunRecord

IMAGES = 4000


@dataclass(frozen=True, eq=False)
class MadeUp(Comparison):
    """Every network is right on the first of the images, all equally sure: two differ on as few as they can."""

    def predictions(self, run: RunRecord) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        right = np.arange(IMAGES) < round(run.metrics.get("accuracy", 0.8) * IMAGES)
        logits = np.where(right[:, None], [2.0, 0.0], [0.0, 2.0]).astype(np.float32)
        return logits, np.zeros(IMAGES, np.int64)
