"""Plan of a robust evaluation: its options, the weights, and its folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vsmooth.data import Dataset
from vsmooth.experiments.robust.options import AttackOptions
from vsmooth.experiments.run import finished_record, read_spec
from vsmooth.records.robust import ATTACK_FOLDER
from vsmooth.records.run import Checkpoint, intact_weights


@dataclass(frozen=True)
class PlannedAttack:
    """An evaluation that is asked for. `weights`, `source`: fingerprints of the finished run in `folder` and of the run
    that is transferred from ("" for none), both hashed once.
    """

    folder: Path
    options: AttackOptions
    weights: str
    source: str

    @property
    def transfers_from_itself(self) -> bool:
        """Whether the run to transfer from has the weights of the one that is attacked."""
        return self.source == self.weights

    def without_transfer(self) -> PlannedAttack | None:
        """The same without the transfer attack; None if that is the only one."""
        options = self.options.without_transfer()
        return None if options is None else replace(self, options=options, source="")

    def place(self, dataset: Dataset) -> Path:
        """The folder of the evaluation; ValueError for more images than there are."""
        name = self.options.folder(count_images(dataset, self.options), self.weights, self.source)
        return self.folder / ATTACK_FOLDER / name


def plan_attack(folder: Path, options: AttackOptions) -> PlannedAttack:
    """ValueError for a run that is not finished."""
    source = "" if options.transfer_from is None else fingerprint(options.transfer_from)
    return PlannedAttack(folder, options, fingerprint(folder, options.checkpoint), source)


def fingerprint(folder: Path, checkpoint: Checkpoint = "last") -> str:
    """First 16 hex digits of the SHA-256 of a run's weights; ValueError for a run not finished, or damaged weights."""
    read_spec(folder)  # which tells what is no run from one that is not finished
    record = finished_record(folder)
    weights = intact_weights(folder, record, checkpoint)
    if not weights.is_file():
        raise ValueError(f"the run in {folder} has no weights: {weights.name} is missing; train it again")
    return record.digests[weights.name][:16]


def count_images(dataset: Dataset, options: AttackOptions) -> int:
    """How many images of the test split are attacked; ValueError for more than there are."""
    total = len(dataset.test)
    count = total if options.images is None else options.images
    if count > total:
        raise ValueError(f"the test split of {dataset.name} has {total} images, {count} are wanted")
    return count
