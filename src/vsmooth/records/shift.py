"""Accuracy and calibration on corrupted test images, as a record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsmooth.data.corruptions import SEVERITIES
from vsmooth.records.bounds import Count, NotNegative, Share
from vsmooth.records.json_files import RecordFile

SHIFT_FILE = "shift.json"
CLEAN = "none"


@dataclass(frozen=True)
class CorruptedMetrics:
    """Accuracy, ECE (15 equal-width bins), NLL in nats and mean confidence under one corruption.

    The unchanged images have the corruption "none" and severity 0.
    """

    corruption: str
    severity: Count
    accuracy: Share
    ece: Share
    nll: NotNegative
    mean_confidence: Share
    samples: Count


@dataclass(frozen=True)
class ShiftRecord:
    """The unchanged images first, then each corruption at severities 1 to 5, on evenly spaced `images` of test."""

    images: Count
    rows: tuple[CorruptedMetrics, ...]

    def __post_init__(self) -> None:
        expected = [(name, severity) for name in self.corruptions for severity in SEVERITIES]
        if not expected or [(row.corruption, row.severity) for row in self.rows] != [(CLEAN, 0), *expected]:
            raise ValueError("the rows are not the unchanged images, then corruptions at five severities")

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Their names, in order, without the unchanged images."""
        return tuple(dict.fromkeys(row.corruption for row in self.rows if row.severity))

    def table(self, metric: str) -> list[list[float]]:
        """A metric by corruption, at severities 0 (unchanged) to 5."""
        clean, *corrupted = (float(getattr(row, metric)) for row in self.rows)
        steps = len(SEVERITIES)
        return [[clean, *corrupted[first : first + steps]] for first in range(0, len(corrupted), steps)]


_FILE = RecordFile(SHIFT_FILE, ShiftRecord)


def write_shift(record: ShiftRecord, folder: Path) -> Path:
    """Writes `folder/shift.json`."""
    return _FILE.write(record, folder)


def read_shift(folder: Path) -> ShiftRecord | None:
    """What `evaluate_shift` wrote in `folder`; None if it did not; ValueError for a file that is something else."""
    return _FILE.find(folder)
