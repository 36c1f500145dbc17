"""Numbers of a training in TensorBoard's files, read back by TensorBoard."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_driver import CASES, EPOCHS, STEPS, At, make_trainer

from vsmooth.train import Listener, make_accelerator, tracked


def test_tensorboard_has_what_the_listener_heard(tmp_path: Path) -> None:
    accelerator = make_accelerator("fp32", track="tensorboard", logs=tmp_path)
    heard = At(-1, lambda: None)
    with tracked(accelerator, heard, tmp_path / "the-run", {"epochs": EPOCHS, "nested": {"a": 1}}) as listener:
        make_trainer(
            CASES["sgd"], tmp_path / "checkpoints", accelerator=accelerator, listener=listener, epochs=10
        ).train()
    events = EventAccumulator(str(tmp_path / "the-run"))
    events.Reload()
    found = events.Scalars("train/loss")
    assert [point.step for point in found] == [20, 40]
    assert [point.value for point in found] == pytest.approx([heard.losses[19], heard.losses[39]])
    norms = events.Scalars("validation/norm")
    assert [point.step for point in norms] == [STEPS * epoch for epoch in range(1, 11)]
    assert [point.value for point in norms] == pytest.approx([log.validation["norm"] for log in heard.logs])
    assert {"train/epoch_loss", "train/learning_rate", "train/images_per_second"} <= set(events.Tags()["scalars"])


def test_messages_reach_the_listener_behind(tmp_path: Path) -> None:
    heard = At(-1, lambda: None)
    accelerator = make_accelerator("fp32", track="tensorboard", logs=tmp_path)
    with tracked(accelerator, heard, tmp_path / "run", {}) as listener:
        listener.on_message("resuming")
    assert heard.messages == ["resuming"]


def test_without_a_tracker_the_listener_is_itself(tmp_path: Path) -> None:
    plain = Listener()
    with tracked(make_accelerator("fp32"), plain, tmp_path / "run", {}) as listener:
        assert listener is plain
    assert not list(tmp_path.iterdir())


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="tracking with wandb needs its package: pip install wandb"):
        make_accelerator("fp32", track="wandb", logs=tmp_path)
