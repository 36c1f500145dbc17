"""Optimizers and learning-rate schedules as values; the learning rate is a pure function of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from vsmooth.bounds import check_count, check_most, check_one_of

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["one-cycle", "cosine", "step", "constant"]


@dataclass(frozen=True)
class Optimization:
    """Settings of the optimizer and its learning-rate schedule; the defaults are the usual ones for CIFAR networks."""

    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.1
    """peak learning rate"""
    schedule: Schedule = "one-cycle"
    """one-cycle: 20 % linear rise, then cosine; cosine: falls from the start; step: divided by 10 at each milestone"""
    final_learning_rate: float = 0.0
    """learning rate at which one-cycle and cosine end"""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """when the step schedule lowers the learning rate, as fractions of the training (the paper: 100 and 150 of 200
    epochs)"""
    warmup: float = 0.0
    """fraction of the training over which the learning rate first rises linearly from 0 (one-cycle has its own rise)"""
    momentum: float = 0.9
    """SGD only"""
    nesterov: bool = True
    """SGD only"""
    weight_decay: float = 5e-4
    clip_norm: float | None = None
    """clip the gradient of all parameters to this L2 norm; None: no clipping"""
    accumulate: int = 1
    """number of batches whose gradients are averaged for one optimizer step; an incomplete last group is dropped"""
    ema_decay: float | None = None
    """decay per step of an exponential moving average of the weights, which is evaluated instead; None: no average"""

    def __post_init__(self) -> None:
        for name, allowed in (("optimizer", get_args(Optimizer)), ("schedule", get_args(Schedule))):
            check_one_of(name, getattr(self, name), allowed)
        _check(0 < self.learning_rate < math.inf, "learning_rate must be positive and finite", self.learning_rate)
        check_most("learning_rate", self.learning_rate, _FASTEST, "no training survives such steps")
        final = self.final_learning_rate
        _check(0 <= final <= self.learning_rate, f"final_learning_rate must be in [0, {self.learning_rate:g}]", final)
        _check(self.weight_decay >= 0, "weight_decay must not be negative", self.weight_decay)
        check_most("weight_decay", self.weight_decay, _MOST_DECAY, "more would only throw the weights back and forth")
        _check(0 <= self.momentum < 1, "momentum must be in [0, 1)", self.momentum)
        _check(0 <= self.warmup < 1, "warmup must be a fraction in [0, 1)", self.warmup)
        check_count("accumulate", self.accumulate, 1, _MOST_ACCUMULATED, "an optimizer step would hardly ever be taken")
        if self.clip_norm is not None:
            _check(self.clip_norm > 0, "clip_norm must be positive", self.clip_norm)
            check_most("clip_norm", self.clip_norm, _LONGEST, "a bound so high never clips; leave it out for none")
        _check(self.ema_decay is None or 0 < self.ema_decay < 1, "ema_decay must be in (0, 1)", self.ema_decay)
        inside = all(0 < m < 1 for m in self.milestones) and list(self.milestones) == sorted(self.milestones)
        _check(inside, "milestones must be rising fractions in (0, 1)", self.milestones)
        self._check_schedule_reads()

    def _check_schedule_reads(self) -> None:
        """Refuse a value that the schedule does not use: it would change the run's key and nothing else."""
        for name, readers in _READ_BY.items():
            value, usual = getattr(self, name), getattr(Optimization, name)
            if value != usual and self.schedule not in readers:
                raise ValueError(
                    f"{name} {_shown(value)} does nothing with the schedule {self.schedule}: choose schedule "
                    f"{' or '.join(readers)}, or give {name} its default, {_shown(usual)}"
                )

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer over all parameters that require a gradient."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        if self.optimizer == "adamw":
            return torch.optim.AdamW(parameters, self.learning_rate, weight_decay=self.weight_decay)
        nesterov = self.nesterov and self.momentum > 0
        return torch.optim.SGD(
            parameters, self.learning_rate, self.momentum, weight_decay=self.weight_decay, nesterov=nesterov
        )

    def learning_rate_at(self, step: int, total: int) -> float:
        """Learning rate of optimizer step ``step``, counted from 0, of ``total``."""
        if self.schedule == "one-cycle":
            return self._one_cycle((step + 1) / total)
        done = step / total
        if done < self.warmup:
            return self.learning_rate * (step + 1) / math.ceil(self.warmup * total)
        if self.schedule == "cosine":
            return self._fall((done - self.warmup) / (1 - self.warmup))
        if self.schedule == "step":
            passed = sum(step >= round(milestone * total) for milestone in self.milestones)
            return self.learning_rate * float(0.1**passed)
        return self.learning_rate

    def _one_cycle(self, done: float) -> float:
        return self.learning_rate * (done / _RISE) if done < _RISE else self._fall((done - _RISE) / (1 - _RISE))

    def _fall(self, done: float) -> float:
        final = self.final_learning_rate
        return final + (self.learning_rate - final) * 0.5 * (1 + math.cos(math.pi * done))


_RISE = 0.2
_READ_BY: dict[str, tuple[Schedule, ...]] = {
    "warmup": ("cosine", "step", "constant"),
    "milestones": ("step",),
    "final_learning_rate": ("one-cycle", "cosine"),
}
_FASTEST, _MOST_DECAY, _MOST_ACCUMULATED, _LONGEST = 1000, 100, 1_000_000, 1_000_000


def _shown(value: float | tuple[float, ...]) -> str:
    return " ".join(f"{number:g}" for number in value) if isinstance(value, tuple) else f"{value:g}"


def _check(holds: bool, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{rule}, got {value}")
