"""Accuracy and calibration of a run on corrupted test images, as a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from vsmooth.data import Dataset
from vsmooth.data.corruptions import SEVERITIES, list_corruptions
from vsmooth.evaluate import CorruptedMetrics, evaluate_corrupted
from vsmooth.evaluate.predict import model_device
from vsmooth.experiments.json_files import read_json, write_json
from vsmooth.experiments.results import evaluation_batches
from vsmooth.experiments.run import dataset_fits, read_spec
from vsmooth.experiments.run_paths import open_run

SHIFT_FILE = "shift.json"
_SEED = 0  # one for all runs, which therefore see the same corrupted images


@dataclass(frozen=True)
class ShiftRecord:
    """The unchanged images first, then each corruption at severities 1 to 5, on evenly spaced `images` of test."""

    images: int
    rows: tuple[CorruptedMetrics, ...]

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Their names, in order, without the unchanged images."""
        return tuple(dict.fromkeys(row.corruption for row in self.rows if row.severity))

    def table(self, metric: str) -> list[list[float]]:
        """A metric by corruption, at severities 0 (unchanged) to 5."""
        clean, *corrupted = (float(getattr(row, metric)) for row in self.rows)
        steps = len(SEVERITIES)
        return [[clean, *corrupted[first : first + steps]] for first in range(0, len(corrupted), steps)]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ShiftRecord:
        """The record of a JSON object; KeyError, TypeError or ValueError for something else."""
        found = cls(int(value["images"]), tuple(CorruptedMetrics(**row) for row in value["rows"]))
        expected = [(name, severity) for name in found.corruptions for severity in SEVERITIES]
        if not expected or [(row.corruption, row.severity) for row in found.rows[1:]] != expected:
            raise ValueError("its rows are not corruptions at five severities")
        return found


def evaluate_shift(
    folder: Path,
    dataset: Dataset,
    *,
    corruptions: Sequence[str] | None = None,
    images: int | None = None,
    on_row: Callable[[int, int], None] | None = None,
) -> ShiftRecord:
    """Evaluate a run on the corruptions (None: all) of `images` test images (None: all), and write `shift.json`.

    `on_row(done, total)` is told after each corruption and severity. A record of the same corruptions and number of
    images is read back. ValueError for an unknown corruption, other data than the run's, and too many images.
    """
    dataset_fits(folder, read_spec(folder), dataset)
    names = list_corruptions() if corruptions is None else tuple(corruptions)
    count = len(dataset.test) if images is None else images
    if not names or not 1 <= count <= len(dataset.test):
        raise ValueError(f"shift needs a corruption and 1 to {len(dataset.test)} images, got {len(names)} and {count}")
    stored = read_shift(folder)
    if stored is not None and stored.corruptions == names and stored.images == count:
        return stored
    model = open_run(folder, dataset)
    batches = evaluation_batches(dataset.test.subset(evenly_spaced(len(dataset.test), count)), model_device(model))
    rows: list[CorruptedMetrics] = []
    for row in evaluate_corrupted(model, lambda: batches.epoch(0), corruptions=names, seed=_SEED):
        rows.append(row)
        if on_row is not None:
            on_row(len(rows), 1 + len(names) * len(SEVERITIES))
    found = ShiftRecord(count, tuple(rows))
    write_json(folder / SHIFT_FILE, asdict(found))
    return found


def read_shift(folder: Path) -> ShiftRecord | None:
    """What `evaluate_shift` wrote in `folder`; None if it did not; ValueError for a file that is something else."""
    path = folder / SHIFT_FILE
    if not path.is_file():
        return None
    value = read_json(path)
    try:
        return ShiftRecord.from_json(value)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is not a record of shift ({error}); delete it and run again") from None


def evenly_spaced(count: int, wanted: int) -> torch.Tensor:
    """`wanted` of the indices 0..count-1, the first and the last among them, int64."""
    return torch.linspace(0, count - 1, wanted, dtype=torch.float64).round().long()
