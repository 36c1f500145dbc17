"""Accuracy and calibration of a run on corrupted test images, as a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vsmooth.data import Dataset
from vsmooth.data.corruptions import SEVERITIES, list_corruptions
from vsmooth.data.storage.files import evenly_spaced
from vsmooth.evaluate import CorruptedMetrics, evaluate_corrupted
from vsmooth.evaluate.predict import model_device
from vsmooth.experiments.ownership import owned
from vsmooth.experiments.results import evaluation_batches
from vsmooth.experiments.run import dataset_fits, read_spec
from vsmooth.experiments.run_paths import open_run
from vsmooth.records.shift import ShiftRecord, read_shift, write_shift

_SEED = 0  # one for all runs, which therefore see the same corrupted images


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
    images is read back. ValueError for an unknown corruption, other data than the run's, too many images, and where
    another process is writing the folder.
    """
    dataset_fits(folder, read_spec(folder), dataset)
    names = list_corruptions() if corruptions is None else tuple(corruptions)
    count = len(dataset.test) if images is None else images
    if not names or not 1 <= count <= len(dataset.test):
        raise ValueError(f"shift needs a corruption and 1 to {len(dataset.test)} images, got {len(names)} and {count}")
    stored = read_shift(folder)
    if stored is not None and stored.corruptions == names and stored.images == count:
        return stored
    with owned(folder):
        found = ShiftRecord(count, _corrupted(folder, dataset, names, count, on_row))
        write_shift(found, folder)
    return found


def _corrupted(
    folder: Path, dataset: Dataset, names: Sequence[str], count: int, on_row: Callable[[int, int], None] | None
) -> tuple[CorruptedMetrics, ...]:
    model = open_run(folder, dataset)
    batches = evaluation_batches(dataset.test.subset(evenly_spaced(len(dataset.test), count)), model_device(model))
    rows: list[CorruptedMetrics] = []
    for row in evaluate_corrupted(model, lambda: batches.epoch(0), corruptions=names, seed=_SEED):
        rows.append(row)
        if on_row is not None:
            on_row(len(rows), 1 + len(names) * len(SEVERITIES))
    return tuple(rows)
