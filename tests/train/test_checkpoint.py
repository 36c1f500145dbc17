"""Checkpoints: what is written is read back, and what is damaged is noticed."""

from __future__ import annotations

import errno
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vsmooth.train import CheckpointError, Optimization, checkpoint, load_weights, read_weights, save_weights
from vsmooth.train.checkpoint import (
    Checkpoint,
    load_newest,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
)


def make(step: int) -> Checkpoint:
    values = {"step": step, "loss_sum": 0.1 + step, "history": [{"epoch": 1, "loss": float("nan")}]}
    return Checkpoint(step, {"model": {"weight": torch.full((3, 2), float(step))}, "rng": {}}, values)


def step_of(folder: Path) -> int | None:
    found, _ = load_newest(folder)
    return None if found is None else found.step


def flip_bit(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))


def test_roundtrip(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make(7))
    found, warnings = load_newest(tmp_path)
    assert found is not None
    assert (found.step, warnings) == (7, [])
    assert torch.equal(found.tensors["model"]["weight"], torch.full((3, 2), 7.0))
    assert found.tensors["rng"] == {}
    # A number that is not finite is null in the file; whoever reads the field as a number gets NaN again.
    assert found.values == {"step": 7, "loss_sum": 7.1, "history": [{"epoch": 1, "loss": None}]}


def test_nothing_there(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "none") == (None, [])


def test_newest_two_are_kept_in_order_of_their_numbers(tmp_path: Path) -> None:
    for step in (99_999_998, 99_999_999, 100_000_000):
        save_checkpoint(tmp_path, make(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-100000000", "step-99999999"]
    assert step_of(tmp_path) == 100_000_000


def test_other_names_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "step-backup").mkdir()
    (tmp_path / ".step-00000009.partial").mkdir()
    save_checkpoint(tmp_path, make(1))
    assert load_newest(tmp_path)[1] == []
    assert step_of(tmp_path) == 1


@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
@pytest.mark.parametrize("size", [0, 1, 60])
def test_truncated_newest_falls_back(tmp_path: Path, name: str, size: int) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, make(step))
    file = tmp_path / "step-00000002" / name
    file.write_bytes(file.read_bytes()[:size])
    found, warnings = load_newest(tmp_path)
    assert found is not None
    assert found.step == 1
    (warning,) = warnings
    assert re.search(r"checkpoint .*step-00000002 is damaged \(.+\); falling back to the one before", warning)


@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
def test_any_flipped_bit_is_noticed(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, make(1))
    file = tmp_path / "step-00000001" / name
    size = len(file.read_bytes())
    for position in range(size):
        flip_bit(file, position)
        assert step_of(tmp_path) is None, position
        flip_bit(file, position)
    assert step_of(tmp_path) == 1


def test_missing_file_falls_back(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, make(step))
    (tmp_path / "step-00000002" / "model.safetensors").unlink()
    assert step_of(tmp_path) == 1


def test_all_damaged_starts_over_and_new_ones_are_not_pushed_out(tmp_path: Path) -> None:
    for step in (8, 9):
        save_checkpoint(tmp_path, make(step))
        (tmp_path / f"step-{step:08d}" / "state.json").write_text("{")
    found, warnings = load_newest(tmp_path)
    assert found is None
    assert warnings[0].endswith("falling back to the one before")
    assert warnings[1].endswith("no earlier one is left: starting over")
    save_checkpoint(tmp_path, make(1))
    assert step_of(tmp_path) == 1
    assert load_newest(tmp_path)[1] == []


def test_checkpoint_without_a_checksum_is_damaged(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, make(3))
    file = tmp_path / "step-00000003" / "state.json"
    state = json.loads(file.read_text())
    del state["checksum"]
    file.write_text(json.dumps(state))
    found, warnings = load_newest(tmp_path)
    assert found is None
    assert "state.json is truncated or changed" in warnings[0]


def test_another_format_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_FORMAT", 1)
        save_checkpoint(tmp_path, make(3))
    found, (warning,) = load_newest(tmp_path)
    assert found is None
    assert "format 1, expected 2" in warning


@pytest.mark.parametrize("failing", ["save_file", "os.replace", "os.fsync"])
def test_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    save_checkpoint(tmp_path, make(1))

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"vsmooth.train.checkpoint.{failing}", fail)
        message = r"No space left on device; the checkpoint of step 1 is intact\. Free space .* to resume"
        with pytest.raises(CheckpointError, match=message):
            save_checkpoint(tmp_path, make(2))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert step_of(tmp_path) == 1
    save_checkpoint(tmp_path, make(2))
    assert step_of(tmp_path) == 2


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        CheckpointError, match=r"cannot save a checkpoint in .*file.*no earlier checkpoint exists"
    ):
        save_checkpoint(tmp_path / "file", make(1))


def test_weights_must_fit(tmp_path: Path) -> None:
    tensors = nn.Linear(2, 3).state_dict()
    with pytest.raises(
        CheckpointError, match=r"weights.st does not fit this model: missing bias; it is of another"
    ):
        load_weights(nn.Linear(2, 3), {"weight": tensors["weight"]}, "weights.st")
    with pytest.raises(CheckpointError, match="unexpected bias, extra;"):
        load_weights(nn.Linear(2, 3, bias=False), {**tensors, "extra": tensors["bias"]}, "x")
    with pytest.raises(CheckpointError, match=r"of another shape: weight \(3, 2\) instead of \(3, 4\);"):
        load_weights(nn.Linear(4, 3), tensors, "x")
    with pytest.raises(CheckpointError, match=r"missing a, b, c, d \.\.\.;"):
        load_weights(nn.ParameterDict({name: torch.zeros(1) for name in "abcde"}), {}, "x")


def test_weights_that_do_not_fit_change_nothing() -> None:
    model = nn.Linear(2, 3)
    before = model.weight.clone()
    with pytest.raises(CheckpointError):
        load_weights(model, {"weight": torch.ones(3, 2)}, "x")
    assert torch.equal(model.weight, before)


def test_weights_roundtrip_shared_and_channels_last(tmp_path: Path) -> None:
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    tensors = {**model.state_dict(), "shared": model.weight}
    save_weights(tmp_path / "w", tensors)
    found = read_weights(tmp_path / "w")
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_pickles_are_not_read(tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    (tmp_path / "model.pt").write_bytes(pickle.dumps(Payload()))
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "plain.pt")
    for name in ("model.pt", "plain.pt", "missing.pt"):
        with pytest.raises(CheckpointError, match=f"cannot read weights from .*{name}"):
            read_weights(tmp_path / name)
    assert not marker.exists()


@pytest.mark.parametrize(
    "optimization",
    [Optimization(), Optimization(momentum=0.0), Optimization(optimizer="adamw", learning_rate=1e-2)],
    ids=["sgd", "plain-sgd", "adamw"],
)
def test_optimizer_state_is_torchs_own(tmp_path: Path, optimization: Optimization) -> None:
    def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for step in range(steps):
            optimizer.zero_grad()
            model(torch.full((2, 3), step + 1.0)).square().sum().backward()
            optimizer.step()

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = optimization.build(model)
    train(model, optimizer, 3)
    tensors = optimizer_tensors(optimizer)
    save_weights(tmp_path / "optimizer", tensors)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = nn.Linear(3, 2)
    other.load_state_dict(weights)
    restored = optimization.build(other)
    load_optimizer(restored, read_weights(tmp_path / "optimizer"), "optimizer")
    assert_same(restored.state_dict(), optimizer.state_dict())
    train(model, optimizer, 2)
    train(other, restored, 2)
    assert torch.equal(model.weight, other.weight)


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, Tensor):
        assert torch.equal(found, expected)
        assert found.dtype == expected.dtype
    elif isinstance(expected, dict):
        kept = {key: value for key, value in expected.items() if value is not None}
        assert {key for key, value in found.items() if value is not None} == kept.keys()
        for key, value in kept.items():
            assert_same(found[key], value)
    else:
        assert found == expected
