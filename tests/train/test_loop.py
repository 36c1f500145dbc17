"""The loop against plain torch, written out by hand."""

from __future__ import annotations

import math
import shutil
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.eval_frame import OptimizedModule
from torch.nn import functional
from training_driver import (
    BATCH,
    CASES,
    CLASSES,
    EPOCHS,
    STEPS,
    TOTAL,
    At,
    Case,
    make_images,
    make_network,
    make_trainer,
    outcome,
    same,
)

from vsmooth.data import Batch, Batches, BatchPlan, Placement
from vsmooth.labels import LabelSmoothing, OneHot
from vsmooth.losses.objective import LabelObjective
from vsmooth.methods import Loss, Method, Standard
from vsmooth.train import Optimization, Trained, TrainingDivergedError

PLAIN = Case(Optimization(schedule="cosine", learning_rate=0.05))


def flat_network() -> nn.Module:
    """Without BatchNorm and dropout: a batch is then the mean of its parts."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, CLASSES))


def plain_batches(size: int = BATCH) -> Batches:
    return Batches(make_images(48), BatchPlan(size, shuffle=True, drop_last=True, seed=1), Placement("cpu"))


def train_flat(folder: Path, optimization: Optimization, size: int = BATCH, **changes: Any) -> Trained:
    case = Case(optimization)
    return make_trainer(case, folder, model=flat_network(), batches=plain_batches(size), **changes).train()


def train_by_hand(optimization: Optimization) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and their moving average after ``EPOCHS`` epochs, in a dozen lines of torch."""
    model, batches = flat_network(), plain_batches()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
    average = [p.detach().clone() for p in model.parameters()]
    total = EPOCHS * len(batches)
    for step in range(total):
        epoch, start = divmod(step, len(batches))
        images, labels = next(batches.epoch(epoch, start))
        optimizer.param_groups[0]["lr"] = optimization.learning_rate_at(step, total)
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        if optimization.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), optimization.clip_norm)
        optimizer.step()
        decay = optimization.ema_decay or 0.0
        average = [
            decay * a + (1 - decay) * p.detach() for a, p in zip(average, model.parameters(), strict=True)
        ]
    return [p.detach() for p in model.parameters()], average


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_training_is_the_plain_loop(tmp_path: Path, clip_norm: float | None) -> None:
    optimization = Optimization(schedule="cosine", clip_norm=clip_norm)
    found = train_flat(tmp_path, optimization).model
    expected, _ = train_by_hand(optimization)
    torch.testing.assert_close([p.detach() for p in found.parameters()], expected)


def test_clipping_changes_the_result() -> None:
    clipped, free = (train_by_hand(Optimization(clip_norm=norm))[0] for norm in (0.1, None))
    assert not torch.allclose(clipped[0], free[0])


def test_average_is_the_hand_loop(tmp_path: Path) -> None:
    optimization = Optimization(schedule="cosine", ema_decay=0.8)
    found = train_flat(tmp_path, optimization).model
    _, expected = train_by_hand(optimization)
    torch.testing.assert_close([p.detach() for p in found.parameters()], expected)


def test_two_batches_a_step_are_one_of_twice_the_size(tmp_path: Path) -> None:
    once = train_flat(tmp_path / "a", Optimization(), size=2 * BATCH)
    twice = train_flat(tmp_path / "b", Optimization(accumulate=2))
    for first, second in zip(once.model.parameters(), twice.model.parameters(), strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("name", CASES)
def test_loss_falls_and_the_same_seed_gives_the_same_bits(tmp_path: Path, name: str) -> None:
    first, second, other = (
        outcome(make_trainer(CASES[name], tmp_path / str(i), seed, checkpoint_seconds=1e9, epochs=6).train())
        for i, seed in enumerate((0, 0, 1))
    )
    assert same(first["weights"], second["weights"])
    assert first["history"] == second["history"]
    assert not same(first["weights"], other["weights"])
    assert first["history"][-1].loss < first["history"][0].loss


def test_history_and_what_the_listener_hears(tmp_path: Path) -> None:
    heard = At(-1, lambda: None)
    trained = make_trainer(PLAIN, tmp_path, listener=heard).train()
    assert [log.epoch for log in trained.history] == list(range(1, EPOCHS + 1))
    assert heard.logs == list(trained.history)
    assert len(heard.losses) == TOTAL
    for epoch, log in enumerate(trained.history):
        assert log.loss == pytest.approx(math.fsum(heard.losses[epoch * STEPS : (epoch + 1) * STEPS]) / STEPS)
        assert log.learning_rate == PLAIN.optimization.learning_rate_at((epoch + 1) * STEPS - 1, TOTAL)
    assert trained.seconds == pytest.approx(sum(log.seconds for log in trained.history))
    assert trained.images_per_second == statistics.median(
            log.images_per_second for log in trained.history
        )


class Spoilt(Method):
    """The loss of another method, times ``factor`` at one of its steps."""

    def __init__(self, step: int, factor: float) -> None:
        self.inner, self.step, self.factor, self.calls = Standard(LabelObjective(OneHot()), CLASSES), step, factor, 0

    def loss(self, model: nn.Module, crafted: Batch) -> Loss:
        self.calls += 1
        return Loss(self.inner.loss(model, crafted).total * (self.factor if self.calls == self.step else 1.0))


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_divergence_names_epoch_step_and_learning_rate(tmp_path: Path, factor: float) -> None:
    rate = PLAIN.optimization.learning_rate_at(7, TOTAL)
    message = (
        rf"the loss is {factor} at epoch 2, step 3 of 5, learning rate {rate:.4g} \(at its highest "
        rf"{PLAIN.optimization.learning_rate:.4g}\): lower the learning rate"
    )
    with pytest.raises(TrainingDivergedError, match=message):
        make_trainer(PLAIN, tmp_path, method=Spoilt(8, factor)).train()
    assert max(path.name for path in tmp_path.iterdir()) == "step-00000007"  # the eighth was not saved


def test_divergence_in_the_last_step_of_an_epoch_is_noticed(tmp_path: Path) -> None:
    """The loss of step 5 is finite, its gradient is not; no further loss of this epoch shows it."""
    with pytest.raises(
        TrainingDivergedError, match="the weights are no longer finite at epoch 1, step 5 of 5"
    ):
        make_trainer(PLAIN, tmp_path, method=Overflow(STEPS)).train()


def test_divergence_at_the_end_of_the_schedule_names_a_rate_that_can_be_lowered(tmp_path: Path) -> None:
    to_zero = replace(PLAIN.optimization, schedule="one-cycle", final_learning_rate=0.0)
    message = rf"step 5 of 5, learning rate 0 \(at its highest {to_zero.learning_rate:.4g}\): lower"
    with pytest.raises(TrainingDivergedError, match=message):
        make_trainer(replace(PLAIN, optimization=to_zero), tmp_path, method=Overflow(TOTAL)).train()


class Overflow(Spoilt):
    def __init__(self, step: int) -> None:
        super().__init__(step, 1.0)

    def loss(self, model: nn.Module, crafted: Batch) -> Loss:
        total = super().loss(model, crafted).total
        total.register_hook(lambda gradient: gradient * math.nan if self.calls == self.step else gradient)
        return Loss(total)


def test_epochs_below_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        make_trainer(PLAIN, tmp_path, epochs=0)


def test_precision_can_change_between_runs_of_a_process(tmp_path: Path) -> None:
    low = replace(PLAIN, precision="bf16")
    runs = [make_trainer(case, tmp_path / str(i)).train() for i, case in enumerate((PLAIN, low, PLAIN))]
    first, mixed, last = (outcome(run)["weights"] for run in runs)
    assert same(first, last)
    assert not same(first, mixed)
    assert all(tensor.dtype != torch.bfloat16 and tensor.isfinite().all() for tensor in mixed.values())


def test_bf16_training_leaves_a_plain_fp32_network(tmp_path: Path) -> None:
    trained = make_trainer(replace(PLAIN, precision="bf16"), tmp_path).train().model.eval()
    fresh = make_network(PLAIN).eval()
    fresh.load_state_dict(trained.state_dict())
    images = torch.rand(4, 1, 8, 8)
    assert torch.equal(trained(images), fresh(images))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_training_agrees(tmp_path: Path) -> None:
    results = []
    for compiled in (False, True):
        case = Case(Optimization(schedule="cosine"), LabelSmoothing(0.1), compiled=compiled)
        trainer = make_trainer(case, tmp_path / str(compiled), model=flat_network(), batches=plain_batches())
        assert isinstance(trainer.model, OptimizedModule) == compiled
        results.append(trainer.train().model)
    assert type(results[1]) is nn.Sequential  # the wrapper is taken off
    torch.testing.assert_close(results[0].state_dict(), results[1].state_dict(), rtol=1e-4, atol=1e-5)


def test_the_loop_sets_train_mode_itself(tmp_path: Path) -> None:
    modes: list[bool] = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        modes.append(model.training)
        model.eval()
        return {}

    make_trainer(PLAIN, tmp_path, evaluate=evaluate).train()
    assert modes == [True] * EPOCHS  # whatever an evaluation left
