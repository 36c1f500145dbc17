"""What an evaluation under attack leaves behind: its record, and the images that the attacks found.

A run keeps one folder for each threat model and set of options: ``RUN/attack/linf-0.0314-n500-1a2b3c4d5e/`` with
``robust.json`` and ``adversarial.safetensors``; ``parts/`` is there while the evaluation is not finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vsmooth.atomic import replacing
from vsmooth.attacks.threat import ThreatModel
from vsmooth.digests import check_digest
from vsmooth.records.bounds import Count, NotNegative, NumClasses, NumVirtual, Positive
from vsmooth.records.json_files import RecordFile
from vsmooth.records.sanity import SanityReport, findings
from vsmooth.records.standing import Standing

ATTACK_FOLDER = "attack"
ROBUST_FILE = "robust.json"
ADVERSARIAL_FILE = "adversarial.safetensors"
# Columns by name, where the headline depends on them.
AA_REAL, AA_PLUS_ALL, MULTI_TARGET, LAMBDA_SWEEP = "AA real", "AA+ all", "Multi-target PGD", "Lambda sweep"
_ARRAYS = ("images", "indices", "labels", "clean_decisions", "decisions")


@dataclass(frozen=True)
class AttackRecord:
    """One attack of a column: its settings, how many images stood after it, and the precision it crafted in."""

    name: str
    settings: Mapping[str, Any]
    standing: Count
    precision: Literal["fp32", "bf16"] = "fp32"


@dataclass(frozen=True)
class ColumnRecord:
    """One column: `standing` of all evaluated images, after `attacked` of them were attacked by `attacks` in turn.

    view: "real" (the K real logits were attacked) or "all" (K + V). on: "right" (all images that are right when clean
    were attacked: a number of its own) or "standing" (only those that stood all columns before: the worst case so far).
    """

    name: str
    view: Literal["real", "all"]
    on: Literal["right", "standing"]
    attacked: Count
    standing: Standing
    attacks: tuple[AttackRecord, ...]


@dataclass(frozen=True)
class RobustRecord:
    """Accuracy of one network under attack, on `images` evenly spaced images of the `split_images` of the test split.

    clean: without an attack. headline: the pointwise worst case, those that stood every attack of every column.
    weights: fingerprint of what was attacked. precision: "fp32", or "bf16" where bf16 crafted first and what stood was
    attacked again in fp32. autoattack_version: of the official package, "" where it was not used; autoattack_flags: its
    warnings. transfer_from: the network whose adversarial images were tried, "" for none. notes: what was left out or
    done otherwise. judgements: how often each image was judged, more than once for a randomised network.
    digests: SHA-256 of the file of adversarial images, by its name.
    """

    threat: ThreatModel
    images: Positive
    split_images: Positive
    num_classes: NumClasses
    num_virtual: NumVirtual
    clean: Standing
    columns: tuple[ColumnRecord, ...]
    headline: Standing
    weights: str
    seed: Count
    precision: Literal["fp32", "bf16"]
    seconds: NotNegative
    sanity: SanityReport | None = None
    autoattack_version: str = ""
    autoattack_flags: tuple[str, ...] = ()
    transfer_from: str = ""
    notes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    judgements: Positive = 1

    @property
    def findings(self) -> tuple[str, ...]:
        """What the sanity block found suspicious, in words."""
        return () if self.sanity is None else findings(self.sanity)

    def column(self, name: str) -> ColumnRecord | None:
        """By its name; None if the evaluation had no such column."""
        return next((column for column in self.columns if column.name == name), None)


_FILE = RecordFile(ROBUST_FILE, RobustRecord)


@dataclass(frozen=True, eq=False)
class Adversarial:
    """For each evaluated image an adversarial one; the clean one where none was found.

    images (N, C, H, W) float32 in [0, 1]; `indices` in the test split, `labels`, and the decisions of the network on
    the clean and on these images, each (N,) int64.
    """

    images: Tensor
    indices: Tensor
    labels: Tensor
    clean_decisions: Tensor
    decisions: Tensor

    def save(self, path: Path) -> None:
        """Write a safetensors file: the old one or the whole new one."""
        with replacing(path) as partial:
            save_file({name: getattr(self, name).contiguous() for name in _ARRAYS}, partial)

    @classmethod
    def load(cls, path: Path) -> Adversarial:
        """Read what `save` wrote; ValueError naming the file if it is missing, damaged or something else."""
        if not path.is_file():
            raise ValueError(f"there is no file of adversarial images at {path}; `vsmooth attack` writes it")
        try:
            found = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{path} is not a readable file of adversarial images: {error}") from error
        if missing := [name for name in _ARRAYS if name not in found]:
            raise ValueError(f"{path} has no array {missing[0]!r}, only {sorted(found)}")
        adversarial = cls(**{name: found[name] for name in _ARRAYS})
        adversarial._check(path)
        return adversarial

    def _check(self, path: Path) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.float32 or not len(self.images):
            found = f"{self.images.dtype} {tuple(self.images.shape)}"
            raise ValueError(f"{path}: images must be float32 (N, C, H, W), got {found}")
        for name in _ARRAYS[1:]:
            values: Tensor = getattr(self, name)
            if values.dtype != torch.int64 or values.shape != self.images.shape[:1]:
                found = f"{values.dtype} {tuple(values.shape)}"
                raise ValueError(f"{path}: {name} must be int64 ({len(self.images)},), one an image, got {found}")
            if (values < 0).any():
                raise ValueError(f"{path}: {name} must not be negative, got {int(values.min())}")
        if not self.images.isfinite().all():
            raise ValueError(f"{path}: images hold NaN or infinite pixels")


def headline_names(num_virtual: int) -> tuple[str, ...]:
    """The columns without which a headline is weaker evidence than it is elsewhere."""
    return (AA_REAL, MULTI_TARGET, *((AA_PLUS_ALL, LAMBDA_SWEEP) if num_virtual else ()))


def write_robust(record: RobustRecord, folder: Path) -> Path:
    """Writes `folder/robust.json`."""
    return _FILE.write(record, folder)


def intact_images(file: Path, record: RobustRecord) -> Path:
    """The adversarial images beside a record, which are those of the record; DamagedFileError where they are not."""
    remedy = f"put back a copy of it, or delete {file.parent} and attack again"
    return check_digest(file, record.digests, file.parent / ROBUST_FILE, remedy)


def read_record_file(path: Path) -> RobustRecord:
    """The record at `path`; ValueError for a file that is missing, damaged or something else."""
    return _FILE.read_file(path)


def robust_records(run_folder: Path) -> dict[Path, RobustRecord]:
    """The finished evaluations of a run by folder, in order of threat model and number of images."""
    files = (run_folder / ATTACK_FOLDER).glob(f"*/{ROBUST_FILE}")
    found = {path.parent: read_record_file(path) for path in files}
    return dict(sorted(found.items(), key=lambda item: _order(*item)))


def read_robust(run_folder: Path) -> tuple[RobustRecord, ...]:
    """The records of `robust_records`; empty where the run was not attacked; ValueError for a damaged one."""
    return tuple(robust_records(run_folder).values())


def _order(folder: Path, record: RobustRecord) -> tuple[str, float, int, str]:
    return record.threat.norm, record.threat.epsilon, record.images, folder.name
