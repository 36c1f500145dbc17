"""Killed at any moment and resumed, a training ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_driver import CASES, STEPS, TOTAL, At, make_trainer, outcome, same

from vsmooth.train import Interrupted


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return {name: outcome(make_trainer(case, folder / name).train()) for name, case in CASES.items()}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the driver left: trainings killed at chosen points and at random times."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    folder = tmp_path_factory.mktemp("killed")
    driver = Path(__file__).with_name("kill_trainings.py")
    subprocess.run([sys.executable, str(driver), str(folder)], check=True, timeout=300)
    return folder


def assert_as_undisturbed(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert same(found["weights"], expected["weights"])
    assert found["history"] == expected["history"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["", "-timed", "-damaged"])
def test_killed_training_ends_bit_identical(
    killed: Path, undisturbed: dict[str, dict[str, Any]], name: str, kind: str
) -> None:
    found = torch.load(
        killed / f"{name}{kind}" / "outcome.pt", weights_only=False
    )  # our own file of a moment ago
    assert_as_undisturbed(found, undisturbed[name])


@pytest.mark.parametrize("name", CASES)
def test_damaged_checkpoint_is_named_and_the_one_before_used(killed: Path, name: str) -> None:
    warning, resumed = (killed / f"{name}-damaged" / "messages.txt").read_text().splitlines()
    assert "model.safetensors is truncated or changed); falling back to the one before" in warning
    # Saved before step 9 was done: 8 and 7, or with two batches a step 8 and 6.
    assert resumed == f"resuming at epoch 2, step {2 if name == 'accumulate' else 3}"


def test_the_killed_trainings_were_killed(killed: Path) -> None:
    kills = json.loads((killed / "report.json").read_text())
    assert all(kills[f"{name}-timed"] >= 1 for name in CASES)


def test_full_disk_stops_with_the_checkpoint_before(
    killed: Path, undisturbed: dict[str, dict[str, Any]]
) -> None:
    message = json.loads((killed / "report.json").read_text())["full"]
    assert "cannot save a checkpoint in" in message
    assert "the checkpoint of step 2 is intact" in message
    found = torch.load(killed / "full" / "outcome.pt", weights_only=False)
    assert_as_undisturbed(found, undisturbed["sgd"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", CASES)
def test_signal_saves_and_the_second_run_goes_on(
    tmp_path: Path, undisturbed: dict[str, dict[str, Any]], name: str, number: signal.Signals
) -> None:
    """One run per signal: at the first step, in an epoch, at the end of one, at the last step."""
    stops = [1, 7, 2 * STEPS, TOTAL]
    for stop in stops:
        act = At(stop, lambda: os.kill(os.getpid(), number))
        trainer = make_trainer(CASES[name], tmp_path, checkpoint_seconds=1e9, listener=act)
        message = rf"stopped by {number.name}; saved in .*Run the same command again to resume"
        with pytest.raises(Interrupted, match=message) as stopped:
            trainer.train()
        assert stopped.value.signal_number == number
        assert bool(act.messages) == (stop != stops[0])
    last = At(-1, lambda: None)
    found = outcome(make_trainer(CASES[name], tmp_path, listener=last).train())
    assert_as_undisturbed(found, undisturbed[name])
    assert last.losses == []
    assert last.messages == ["resuming after the last epoch"]


def test_signals_are_as_before_afterwards(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    act = At(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        make_trainer(CASES["sgd"], tmp_path, listener=act).train()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_second_signal_does_not_wait(tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        make_trainer(CASES["sgd"], tmp_path, listener=At(3, twice)).train()


def test_each_sitting_is_remembered_and_what_may_change_bits_is_said(tmp_path: Path) -> None:
    """Threads decide in which order floats are added; the date does not."""
    first = {"threads": "2", "processor": "A", "date": "monday"}
    sittings = [first, first | {"date": "tuesday"}, first | {"threads": "8", "processor": "B"}]
    heard = []
    for number, environment in enumerate(sittings[:2]):
        act = At(1 + number, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted):
            make_trainer(CASES["sgd"], tmp_path, listener=act, environment=environment).train()
        heard.append(act.messages)
    last = At(-1, lambda: None)
    trained = make_trainer(CASES["sgd"], tmp_path, listener=last, environment=sittings[2]).train()
    assert trained.environments == tuple(sittings)
    assert heard == [[], ["resuming at epoch 1, step 2"]]
    assert last.messages == [
        "resuming at epoch 1, step 3",
        "resumed with processor B instead of A, threads 8 instead of 2: the weights may differ in their last bits from "
        "those of an uninterrupted training",
    ]


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    act = At(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        make_trainer(CASES["sgd"], tmp_path, listener=act).train()
    message = r"does not fit this model: of another shape: 5.bias \(3,\) instead of \(6,\), 5.weight"
    with pytest.raises(RuntimeError, match=message):
        make_trainer(CASES["accumulate"], tmp_path).train()
