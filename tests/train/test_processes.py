"""Two processes against one: the same data, the same losses, the same weights, one stop for all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from process_driver import BATCH, EPOCHS, STEPS, STOP, Losses, Recorded, make_network, make_trainer
from safetensors.torch import load_file
from torch import Tensor
from training_driver import make_images

from vsmooth.data import Batches, BatchPlan, Placement
from vsmooth.evaluate import Predictions, part_of, predict
from vsmooth.train import Interrupted, Trainer

TOTAL = STEPS * EPOCHS


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], list[list[int]], dict[str, Tensor]]:
    """Losses, labels and weights of the undisturbed training in one process."""
    return train_alone(tmp_path_factory.mktemp("alone"))


def train_alone(folder: Path, **changes: Any) -> tuple[list[float], list[list[int]], dict[str, Tensor]]:
    listener = Losses()
    trainer, batches = make_trainer(folder, listener, **changes)
    return listener.losses, batches.seen, dict(trainer.train().model.state_dict())


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the two processes of the driver left; two of their trainings were begun here, by one process."""
    folder = tmp_path_factory.mktemp("together")
    for name in ("resumed", "sharded-resumed"):
        with pytest.raises(Interrupted):
            stopping(folder / name / "checkpoints").train()
    driver = Path(__file__).with_name("process_driver.py")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(driver)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([*launch, str(folder)], check=True, timeout=120, env=environment)
    return folder


def stopping(folder: Path) -> Trainer:
    return make_trainer(folder, Losses(STOP))[0]


def report(folder: Path, name: str, rank: int = 0) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"{name}-{rank}.json").read_text())
    return content


def assert_weights(folder: Path, name: str, expected: dict[str, Tensor]) -> None:
    for rank in range(2):
        found = load_file(folder / f"{name}-{rank}.safetensors")
        assert found.keys() == expected.keys()
        for key, tensor in expected.items():
            torch.testing.assert_close(found[key], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["copied", "sharded"])
def test_losses_and_weights_are_those_of_one_process(
    together: Path, alone: tuple[list[float], list[list[int]], dict[str, Tensor]], name: str
) -> None:
    losses, _, weights = alone
    assert len(losses) == TOTAL == 20
    for rank in range(2):
        assert report(together, name, rank)["losses"] == pytest.approx(losses, abs=1e-5)
    assert_weights(together, name, weights)


def test_both_see_the_global_batches_in_order(
    together: Path, alone: tuple[list[float], list[list[int]], dict[str, Tensor]]
) -> None:
    first, second = (report(together, "copied", rank)["labels"] for rank in range(2))
    assert [a + b for a, b in zip(first, second, strict=True)] == alone[1]
    assert {len(part) for part in first + second} == {BATCH // 2}


def test_accumulated_gradients_are_shared_too(together: Path, tmp_path: Path) -> None:
    losses, _, weights = train_alone(tmp_path, accumulate=2)
    assert report(together, "accumulated")["losses"] == pytest.approx(losses, abs=1e-5)
    assert_weights(together, "accumulated", weights)


def test_result_is_the_same_everywhere_with_batchnorm_and_dropout(together: Path) -> None:
    for name in ("batchnorm", "dropout"):
        first, second = (load_file(together / f"{name}-{rank}.safetensors") for rank in range(2))
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_dropout_differs_between_the_processes(together: Path) -> None:
    """Their inputs are the same images, so with one mask for both their logits would be equal."""
    first, second = (report(together, "masks", rank)["logits"] for rank in range(2))
    assert first != second


@pytest.mark.parametrize("name", ["stopped", "sharded-stopped"])
def test_signal_to_one_stops_both_and_one_process_goes_on(
    together: Path, alone: tuple[list[float], list[list[int]], dict[str, Tensor]], name: str
) -> None:
    for rank in range(2):
        found = report(together, name, rank)
        assert found["step"] == STOP
        assert found["ended"].startswith("Interrupted: stopped by SIGTERM; saved in ")
    listener = Losses()
    trainer, _ = make_trainer(together / name / "checkpoints", listener)
    weights = trainer.train().model.state_dict()
    assert listener.losses == pytest.approx(alone[0][STOP:], abs=1e-5)
    for key, tensor in alone[2].items():
        torch.testing.assert_close(weights[key], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["resumed", "sharded-resumed"])
def test_two_go_on_where_one_was_stopped(
    together: Path, alone: tuple[list[float], list[list[int]], dict[str, Tensor]], name: str
) -> None:
    assert report(together, name)["losses"] == pytest.approx(alone[0][STOP:], abs=1e-5)
    assert_weights(together, name, alone[2])


def test_loss_that_is_not_finite_on_one_stops_both(together: Path) -> None:
    for rank in range(2):
        ended = report(together, "diverged", rank)["ended"]
        assert ended.startswith("TrainingDivergedError: the loss is nan at epoch 1, step 3 of 5")


def test_gathered_predictions_are_those_of_one_process(together: Path) -> None:
    batches = Batches(make_images(83), BatchPlan(83, shuffle=False, drop_last=False), Placement("cpu"))
    expected = predict(make_network(), batches.epoch(0))
    for rank in range(2):
        found = Predictions.load(together / f"gather-{rank}.npz")
        assert torch.equal(found.labels, expected.labels)
        torch.testing.assert_close(found.logits, expected.logits)


@pytest.mark.parametrize(("count", "world"), [(83, 2), (10, 3), (3, 3), (100, 7)])
def test_parts_cover_a_split_once(count: int, world: int) -> None:
    parts = [part_of(count, rank, world) for rank in range(world)]
    assert torch.cat(parts).tolist() == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_more_processes_than_images_are_refused() -> None:
    with pytest.raises(ValueError, match="a split of 2 images cannot be shared by 3 processes"):
        part_of(2, 0, 3)


def test_sharding_and_average_are_refused_together(tmp_path: Path) -> None:
    from vsmooth.train import Optimization

    trainer, batches = make_trainer(tmp_path, Losses())
    assert isinstance(batches, Recorded)
    with pytest.raises(ValueError, match="ema_decay and sharded weights"):
        Trainer(
            trainer.method,
            make_network(),
            batches,
            trainer.evaluate,
            trainer.accelerator,
            epochs=1,
            optimization=Optimization(ema_decay=0.9),
            checkpoints=tmp_path,
            shard=True,
        )
