"""Schedules against torch's own and against hand numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR

from vsmooth.train import Optimization

STEPS = 40


def rates(optimization: Optimization, steps: int = STEPS) -> list[float]:
    return [optimization.learning_rate_at(step, steps) for step in range(steps)]


def rates_of_torch(scheduler_of: Any, steps: int = STEPS) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    scheduler: LRScheduler = scheduler_of(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_cosine_is_torchs() -> None:
    expected = rates_of_torch(lambda optimizer: CosineAnnealingLR(optimizer, STEPS))
    assert rates(Optimization(schedule="cosine")) == pytest.approx(expected, abs=1e-9)


def test_cosine_to_a_final_rate_is_torchs() -> None:
    expected = rates_of_torch(lambda optimizer: CosineAnnealingLR(optimizer, STEPS, eta_min=1e-5))
    found = rates(Optimization(schedule="cosine", final_learning_rate=1e-5))
    assert found == pytest.approx(expected, rel=1e-9)
    assert Optimization(schedule="cosine", final_learning_rate=1e-5).learning_rate_at(9999, 10000) == pytest.approx(
        1e-5, rel=0.01
    )


def test_step_is_torchs() -> None:
    expected = rates_of_torch(lambda optimizer: MultiStepLR(optimizer, [20, 30]))
    assert rates(Optimization(schedule="step")) == pytest.approx(expected)


def test_paper_schedule_divides_after_100_and_150_of_200_epochs() -> None:
    schedule = Optimization(schedule="step")
    per_epoch = 391
    found = [
        schedule.learning_rate_at(epoch * per_epoch, 200 * per_epoch) for epoch in (0, 99, 100, 149, 150, 199)
    ]
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_constant() -> None:
    assert set(rates(Optimization(schedule="constant", learning_rate=0.3))) == {0.3}


def test_one_cycle_rises_for_a_fifth_and_falls_to_zero() -> None:
    found = rates(Optimization(learning_rate=1.0))
    assert found[:8] == pytest.approx([step / 8 for step in range(1, 9)])
    assert max(found) == found[7] == 1.0
    assert found[23] == pytest.approx(0.5)  # half way down: (24 - 8) / 32
    assert found[8:] == sorted(found[8:], reverse=True)
    assert found[-1] == pytest.approx(0)


def test_one_cycle_ends_at_the_final_rate_and_rises_from_zero_all_the_same() -> None:
    found = rates(Optimization(learning_rate=1.0, final_learning_rate=0.2))
    assert found[:8] == pytest.approx([step / 8 for step in range(1, 9)])
    assert found[23] == pytest.approx(0.6)  # half way between 1 and 0.2
    assert found[-1] == pytest.approx(0.2)
    level = Optimization(learning_rate=1.0, final_learning_rate=1.0)
    assert rates(level)[8:] == [1.0] * 32


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_warmup_is_linear_and_reaches_the_peak(schedule: Any) -> None:
    found = rates(Optimization(schedule=schedule, warmup=0.25))
    assert found[:10] == pytest.approx([0.1 * step / 10 for step in range(1, 11)])
    assert found[10] == pytest.approx(0.1)
    assert max(found) == pytest.approx(0.1)


def test_cosine_after_warmup_has_its_middle_in_the_middle_of_the_rest() -> None:
    assert Optimization(schedule="cosine", warmup=0.2).learning_rate_at(60, 100) == pytest.approx(0.05)


@pytest.mark.parametrize("total", [1, 2, 3, 7])
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "step", "constant"])
def test_short_trainings_have_rates_in_range(schedule: Any, total: int) -> None:
    found = rates(Optimization(schedule=schedule, warmup=0.0 if schedule == "one-cycle" else 0.3), total)
    assert all(0 <= rate <= 0.1 + 1e-12 for rate in found)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be positive and finite, got nan"),
        ({"learning_rate": math.inf}, "learning_rate must be positive and finite, got inf"),
        ({"final_learning_rate": 0.2}, r"final_learning_rate must be in \[0, 0.1\], got 0.2"),
        ({"final_learning_rate": -1e-5}, r"final_learning_rate must be in \[0, 0.1\], got -1e-05"),
        ({"final_learning_rate": math.nan}, r"final_learning_rate must be in \[0, 0.1\], got nan"),
        ({"weight_decay": -1e-4}, "weight_decay must not be negative, got -0.0001"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"warmup": 1.0}, r"warmup must be a fraction in \[0, 1\), got 1.0"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"clip_norm": 0.0}, "clip_norm must be positive, got 0.0"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \(0, 1\), got 1.0"),
        ({"milestones": (0.7, 0.5)}, r"milestones must be rising fractions in \(0, 1\), got \(0.7, 0.5\)"),
        ({"milestones": (100.0, 150.0)}, "milestones must be rising fractions"),
        ({"optimizer": "adam"}, "optimizer must be one of sgd, adamw, got 'adam'"),
        (
            {"warmup": 0.1},
            "warmup 0.1 does nothing with the schedule one-cycle: choose schedule cosine or step or constant, or give "
            "warmup its default, 0",
        ),
        (
            {"schedule": "cosine", "milestones": (0.3, 0.6)},
            "milestones 0.3 0.6 does nothing with the schedule cosine: choose schedule step, or give milestones its "
            "default, 0.5 0.75",
        ),
        ({"schedule": "step", "final_learning_rate": 0.01}, "choose schedule one-cycle or cosine, or give final_lear"),
        ({"schedule": "cosin"}, "schedule must be one of one-cycle, cosine, step, constant, got 'cosin'"),
    ],
)
def test_bad_values_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Optimization(**values)


def test_sgd_as_asked_for() -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    optimizer = Optimization(learning_rate=0.2, momentum=0.8, weight_decay=1e-3).build(model)
    assert isinstance(optimizer, torch.optim.SGD)
    (group,) = optimizer.param_groups
    assert group["params"] == [model.weight]  # what wants no gradient is not moved
    assert (group["lr"], group["momentum"], group["weight_decay"], group["nesterov"]) == (
        0.2,
        0.8,
        1e-3,
        True,
    )


def test_sgd_without_momentum_cannot_have_nesterovs() -> None:
    optimizer = Optimization(momentum=0.0).build(nn.Linear(2, 2))
    assert optimizer.param_groups[0]["nesterov"] is False


def test_adamw_as_asked_for() -> None:
    optimizer = Optimization(optimizer="adamw", learning_rate=1e-3, weight_decay=0.05).build(nn.Linear(2, 2))
    assert type(optimizer) is torch.optim.AdamW
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (1e-3, 0.05)
