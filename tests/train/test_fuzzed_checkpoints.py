"""Every value and every tensor of a checkpoint with every kind of damage, checksums made to fit: refused by name.

The checksums notice any damage first (`test_checkpoint.py`); here a checkpoint holds nonsense from the beginning.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from array_damage import array_damages, read_raw, write_raw
from fuzz_limits import limited
from record_damage import DELETED, EXTRA, damages
from training_driver import CASES, TOTAL, At, make_trainer

from vsmooth.train import CheckpointError, Listener, TrainingDivergedError

_UNKNOWN, _AMOUNT = {"null"}, {"null", "huge"}
ACCEPTED = (
    (r"values\.(loss_sum|seconds)", {"huge"}),
    (r"values\.loss_sum", {"negative"}),
    (r"values\.history\[\]\.validation\.\w+", {*_AMOUNT, "negative", DELETED}),
    (r"values\.history\[\]\.(validation|parts)|values\.part_sums", {"object", EXTRA}),
    (r"values\.history\[\]\.(learning_rate|seconds|images_per_second)", _AMOUNT),
    (r"values\.history\[\]\.loss", {*_AMOUNT, "negative"}),
    (r"values\.(environments|notices)", {"empty list"}),
    (r"values\.environments\[\]", {DELETED, "object"}),
    (r"values\.environments\[\]\.\w+", {"text", DELETED}),
    (r"values\.part_sums\.\w+", {"huge", "negative", DELETED}),
)
# A parameter without a state of the optimizer is one that had no gradient yet; a count of batches is no float.
TENSORS = {
    "model": (
        (r"1\.num_batches_tracked", {"one number", "int8", "int64", "bool", "negative", "huge"}),
        (".+", {"float16", "float64", "negative", "huge"}),
    ),
    "optimizer": ((".+", {"float16", "float64", "negative", "huge", DELETED}),),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a training that has one step left."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_trainer(CASES["sgd"], folder, listener=At(TOTAL, stop), environment={"threads": "1"}).train()
    for older in sorted(folder.iterdir())[:-1]:
        for file in older.iterdir():
            file.unlink()
        older.rmdir()
    return folder


class PassedOver(Exception):
    """A training would begin again, since its checkpoint is damaged."""


class Ending(Listener):
    """Ends such a training there."""

    def on_message(self, text: str) -> None:
        if "is damaged" in text:
            raise PassedOver(text)


def write_state(place: Path, state: dict[str, Any]) -> None:
    """With the checksum of whatever it holds."""
    text = json.dumps(state, sort_keys=True)
    (place / "state.json").write_text(json.dumps({**state, "checksum": hashlib.sha256(text.encode()).hexdigest()}))


def outcome(folder: Path, place: Path) -> str:
    """"resumed", "refused" by an error or a message that names the checkpoint, or what went wrong."""
    try:
        with limited():
            make_trainer(CASES["sgd"], folder, listener=Ending(), checkpoint_seconds=1e9).train()
    except (PassedOver, CheckpointError) as error:
        told = str(error)
        named = str(place) in told or str(folder) in told or "the checkpoint of step 14" in told
        return "refused" if named and "\n" not in told and len(told) < 600 else f"says: {told[:300]}"
    except TrainingDivergedError:
        pass  # of huge weights, and said so
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "resumed"


@pytest.fixture
def place(folder: Path) -> Iterator[Path]:
    """The folder of the checkpoint, as it was again afterwards."""
    (place,) = folder.glob("step-*")
    before = {path: path.read_bytes() for path in place.iterdir()}
    yield place
    _restore(folder, before)


def _restore(folder: Path, before: dict[Path, bytes]) -> None:
    for step in folder.glob("step-*"):
        for path in step.iterdir():
            if path not in before:
                path.unlink()
        if not any(path.parent == step for path in before):
            step.rmdir()
    for path, content in before.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
def test_every_value(folder: Path, place: Path) -> None:
    before = {path: path.read_bytes() for path in place.iterdir()}
    state = json.loads((place / "state.json").read_text())
    del state["checksum"]
    text, wrong, tried = json.dumps(state), [], 0
    for damage in damages(text):
        if damage.kind == "huge list":  # slow; records are read by the same rules
            continue
        try:
            write_state(place, json.loads(damage.done_to(text)))
        except (ValueError, RecursionError):
            continue  # what JSON itself refuses has no checksum
        found, tried = outcome(folder, place), tried + 1
        kinds = set().union(*(kinds for pattern, kinds in ACCEPTED if re.fullmatch(pattern, damage.field)))
        if found != ("resumed" if damage.kind in kinds else "refused"):
            wrong.append(f"{damage.field}, {damage.kind}: {found}")
        _restore(folder, before)
    assert wrong == [], "\n".join([f"{len(wrong)} of {tried}", *wrong])
    assert tried > 200


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
@pytest.mark.parametrize("group", ["model", "optimizer"])
def test_every_tensor(folder: Path, place: Path, group: str) -> None:
    before = {path: path.read_bytes() for path in place.iterdir()}
    file, wrong, tried = place / f"{group}.safetensors", [], 0
    arrays = read_raw(file)
    state = json.loads((place / "state.json").read_text())
    del state["checksum"]
    for damage in array_damages(arrays, texts=False):
        write_raw(file, damage.done_to(arrays))
        state["sha256"][group] = hashlib.sha256(file.read_bytes()).hexdigest()
        write_state(place, state)
        found, tried = outcome(folder, place), tried + 1
        kinds = next((kinds for pattern, kinds in TENSORS[group] if re.fullmatch(pattern, damage.name)), set())
        if found != ("resumed" if damage.kind in kinds else "refused"):
            wrong.append(f"{damage.name}, {damage.kind}: {found}")
        _restore(folder, before)
    assert wrong == [], "\n".join([f"{len(wrong)} of {tried}", *wrong])
    assert tried > 50
