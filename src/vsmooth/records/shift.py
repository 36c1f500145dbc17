"""Accuracy and calibration on corrupted test images, as a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsmooth.data.corruptions import SEVERITIES
from vsmooth.records.json_files import read_json

SHIFT_FILE = "shift.json"
CLEAN = "none"


@dataclass(frozen=True)
class CorruptedMetrics:
    """Accuracy, ECE (15 equal-width bins), NLL in nats and mean confidence under one corruption.

    The unchanged images have the corruption "none" and severity 0.
    """

    corruption: str
    severity: int
    accuracy: float
    ece: float
    nll: float
    mean_confidence: float
    samples: int


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
