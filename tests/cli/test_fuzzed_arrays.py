"""Every array of every file of arrays with every kind of damage: one line that names the file, or accepted on purpose.

The digests of runs, which notice any damage first, are made to fit: a file may hold nonsense from the beginning.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from array_damage import CHANGES, DELETED, EXTRA, ArrayDamage, array_damages, read_raw, whole_files, write_raw
from fuzz_limits import limited

from vsmooth.data import Batch
from vsmooth.digests import digest_file, write_digest
from vsmooth.evaluate import Features, FolderParts, Predictions
from vsmooth.evaluate.robust.parts import Part
from vsmooth.experiments.run import load_run
from vsmooth.methods.teacher_cache import CachedTeacher, CacheKey
from vsmooth.records.gradient_maps import GradientMaps
from vsmooth.records.json_files import RecordFile
from vsmooth.records.robust import Adversarial
from vsmooth.train import CheckpointError

SHAPE, INDICES = (1, 8, 8), torch.tensor([3, 5, 8])
PART = Part(INDICES, torch.tensor([True, False, True]), torch.tensor([8]), torch.rand(1, *SHAPE))


@dataclass(frozen=True)
class Kind:
    """A kind of file: where it is, how it is read, and what is accepted on purpose: pattern of an array, kinds."""

    file: str
    read: Callable[[Path], Any]
    accepted: tuple[tuple[str, set[str]], ...]


def _cached(path: Path) -> torch.Tensor:
    key = RecordFile("cache.json", CacheKey).read(path.parent)
    few = torch.arange(4)
    return CachedTeacher(path.parent, key).logits(Batch(torch.zeros(4, *SHAPE), few, indices=few, view=0))


def _part(path: Path) -> Part | None:
    return FolderParts(path.parent.parent).load("pgd", 0, INDICES, SHAPE)


_PRECISION = {"float16", "float64"}  # read as float32
_NUMBERS = _PRECISION | {"negative", "huge"}  # any finite number may be a logit or a weight
_MORE: tuple[str, set[str]] = ("", {EXTRA})  # an array that nobody reads
KINDS: dict[str, Kind] = {
    "predictions": Kind("runs/vs-*/predictions-test.npz", Predictions.load, (
        ("logits", _NUMBERS), ("labels", {"int8", "int64"}), _MORE,
    )),
    "features": Kind("runs/vs-*/features-test.npz", Features.load, (
        ("labels", {"int8", "int64"}), (".+", _NUMBERS), _MORE,
    )),
    "gradients": Kind("runs/vs-*/gradients.npz", lambda path: GradientMaps.load(path.parent), (
        # How many classes there are only the page knows; a map that is missing is not drawn.
        ("labels", {"int64", "huge"}), ("images", _PRECISION), ("map .*", _NUMBERS | {DELETED}), _MORE,
    )),
    # Positions, classes and pixels that the data cannot have are what --verify is for.
    "adversarial": Kind("runs/vs-*/attack/*/adversarial.safetensors", Adversarial.load, (
        ("images", {"negative", "huge"}), (".+", {"int64", "huge"}), _MORE,
    )),
    "part": Kind("parts/pgd/00000.safetensors", _part, (
        # Of other images: not there, so that the batch is attacked again.
        ("indices", {*CHANGES}),
        ("found", {"int64"}), ("fooled", {"bool", "negative", "huge"}), ("images", {"negative", "huge"}),
    )),
    "cached view": Kind("taught/teacher-cache/*/view-0.safetensors", _cached, (("logits", {"float16", "negative"}),)),
    "weights": Kind("runs/vs-*/model.safetensors", lambda path: load_run(path.parent), (
        (r".*num_batches_tracked", {"one number", "int8", "int64", "bool", "negative", "huge"}), (".+", _NUMBERS),
    )),
}


@pytest.fixture(scope="module")
def damaged_root(saved_whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every file of arrays."""
    root = shutil.copytree(saved_whole, tmp_path_factory.mktemp("fuzzed") / "whole")
    FolderParts(root / "parts").save("pgd", 0, PART)
    return root


def is_on_purpose(kind: Kind, damage: ArrayDamage) -> bool:
    found = (kinds for pattern, kinds in kind.accepted if re.fullmatch(pattern, damage.name))
    return damage.kind in next(found, set())


def accept(path: Path) -> None:
    """Makes the digest beside a file, or in the record of its run, that of the file as it is now."""
    if digest_file(path).is_file():
        write_digest(path)
    if path.name == "model.safetensors":
        record = path.with_name("record.json")
        value = json.loads(record.read_text())
        value["digests"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        record.write_text(json.dumps(value))


def outcome(kind: Kind, path: Path) -> str:
    """"accepted", "refused" in one line that names the file, or what went wrong."""
    accept(path)
    try:
        with limited():
            kind.read(path)
    except (ValueError, CheckpointError) as error:
        told = str(error)
        return "refused" if str(path) in told and "\n" not in told and len(told) < 600 else f"says: {told[:300]}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "accepted"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
@pytest.mark.parametrize("name", list(KINDS))
def test_every_array_of_every_file(damaged_root: Path, name: str) -> None:
    kind = KINDS[name]
    (path,) = damaged_root.glob(kind.file)
    content, arrays = path.read_bytes(), read_raw(path)
    kind.read(path)
    wrong, tried = [], 0
    try:
        for damage in array_damages(arrays, texts=path.suffix == ".npz"):
            write_raw(path, damage.done_to(arrays))
            found, tried = outcome(kind, path), tried + 1
            if found != ("accepted" if is_on_purpose(kind, damage) else "refused"):
                wrong.append(f"{damage.name}, {damage.kind}: {found}")
        for what, other in whole_files(content):
            path.write_bytes(other)
            found, tried = outcome(kind, path), tried + 1
            if found != "refused":
                wrong.append(f"{what}: {found}")
    finally:
        path.write_bytes(content)
        accept(path)
    assert wrong == [], "\n".join([f"{len(wrong)} of {tried}", *wrong])
    assert tried > 30
