"""Finished runs: found from given paths, gathered into one comparison, opened with their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from vsmooth.data import Dataset
from vsmooth.experiments.build import place
from vsmooth.experiments.run import dataset_fits, finished_record, load_run, read_claim, read_spec
from vsmooth.experiments.specs.spec_file import SPEC_FILE
from vsmooth.records.comparison import SUMMARY_FILE, Comparison, load_comparison
from vsmooth.records.run import Checkpoint, RunRecord
from vsmooth.train.processes import launched


def find_runs(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The run folders among and within `paths`, each once, in order.

    A path is a run folder, the directory of a comparison (its runs by `summary.json`) or any directory of run folders.
    ValueError for a path that is none of these.
    """
    found = [folder for path in paths for folder in _runs_in(path)]
    return tuple({folder.resolve(): folder for folder in found}.values())


def gather_runs(paths: Sequence[Path]) -> Comparison:
    """The finished runs of `paths` as one comparison, whose runs carry their whole path as folder.

    ValueError for a run that is not finished, and for runs that are not of one experiment: other images, another
    network or number of epochs, or two runs of the same variant and seed.
    """
    folders = find_runs(paths)
    runs = tuple(replace(finished_record(folder), folder=str(folder.resolve())) for folder in folders)
    _check_one_experiment(runs)
    return Comparison(runs, "", {}, _class_names(folders, runs))


def open_run(folder: Path, dataset: Dataset, checkpoint: Checkpoint = "last") -> nn.Module:
    """The network of a run, on the device; ValueError if `dataset` is not the run's own, or it kept no best weights."""
    dataset_fits(folder, read_spec(folder), dataset)
    return place(load_run(folder, checkpoint), torch.device(launched().device))


def _runs_in(path: Path) -> list[Path]:
    if (path / SPEC_FILE).is_file():
        return [path]
    if (path / SUMMARY_FILE).is_file():
        return [path / run.folder for run in load_comparison(path).runs]
    inside = sorted(file.parent for file in path.glob(f"*/{SPEC_FILE}")) if path.is_dir() else []
    if not inside:
        raise ValueError(
            f"{path} is no run folder and holds none: it has no {SPEC_FILE}, no {SUMMARY_FILE} and no folder with a "
            f"{SPEC_FILE}; `vsmooth train` and `vsmooth compare` make them"
        )
    return inside


def _check_one_experiment(runs: Sequence[RunRecord]) -> None:
    first = runs[0]
    fingerprint = _fingerprint(first)
    for run in runs[1:]:
        for what, ours, theirs in (
            ("images", _fingerprint(run), fingerprint),
            ("model", run.model, first.model),
            ("epochs", run.epochs, first.epochs),
        ):
            if ours != theirs:
                raise ValueError(
                    f"{Path(run.folder).name} and {Path(first.folder).name} differ in {what} ({ours} and {theirs}), so "
                    "they cannot stand in one table; give the runs of one experiment at a time"
                )
    keys = [(run.variant.key, run.seed) for run in runs]
    twin = next((i for i, key in enumerate(keys) if key in keys[:i]), None)
    if twin is not None:
        other = runs[keys.index(keys[twin])]
        raise ValueError(
            f"{runs[twin].folder} and {other.folder} are both {other.name} with the same seed; leave one of them out"
        )


def _fingerprint(run: RunRecord) -> str:
    return read_claim(Path(run.folder)).data_fingerprint


def _class_names(folders: Sequence[Path], runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """Those of the comparison that the first run is part of; numbers where it is part of none."""
    try:
        return load_comparison(folders[0].parent).classes
    except ValueError:
        return tuple(str(index) for index in range(runs[0].num_classes))
