"""Small trainings for the tests of the loop: four cases, a trainer for each, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsmooth.data import Augmentation, Batches, BatchPlan, ImageSet, Placement
from vsmooth.labels import LabelScheme, OneHot, VirtualSmoothing
from vsmooth.losses.objective import LabelObjective
from vsmooth.methods import Method, Standard
from vsmooth.records.run import EpochRecord
from vsmooth.train import (
    Listener,
    Optimization,
    Trained,
    Trainer,
    make_accelerator,
)

BATCH, STEPS, EPOCHS, CLASSES = 8, 5, 3, 3
TOTAL = STEPS * EPOCHS


@dataclass(frozen=True)
class Case:
    """One way to train; ``dropout`` makes the result depend on torch's global random state."""

    optimization: Optimization
    scheme: LabelScheme = OneHot()  # noqa: RUF009 - frozen
    dropout: float = 0.0
    precision: Any = "fp32"
    compiled: bool = False


CASES = {
    "sgd": Case(Optimization()),
    "adamw-ema": Case(Optimization(optimizer="adamw", learning_rate=0.01, ema_decay=0.9, clip_norm=0.5)),
    "accumulate": Case(Optimization(accumulate=2, warmup=0.3, schedule="cosine"), VirtualSmoothing(0.2)),
    "dropout": Case(Optimization(schedule="step"), VirtualSmoothing(0.3), dropout=0.5, precision="bf16"),
}


def make_images(count: int = BATCH * STEPS + 3) -> ImageSet:
    """Grey 8x8 images whose brightness tells the class; three more than fit the batches."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(count) % CLASSES
    noise = torch.randint(0, 120, (count, 1, 8, 8), generator=generator)
    return ImageSet((noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels)


def make_network(case: Case, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(case.dropout),
        nn.Linear(4 * 3 * 3, case.scheme.width(CLASSES)),
    )


def make_trainer(case: Case, folder: Path, seed: int = 0, **changes: Any) -> Trainer:
    """A trainer of ``case`` that saves after every step; ``changes`` replace its arguments."""
    batches = Batches(
        make_images(),
        BatchPlan(BATCH, shuffle=True, drop_last=True, seed=seed, augmentation=Augmentation(2)),
        Placement("cpu"),
    )
    method: Method = Standard(LabelObjective(case.scheme), CLASSES)
    accelerator = make_accelerator(
        case.precision, accumulate=case.optimization.accumulate, compile_model=case.compiled
    )
    arguments: dict[str, Any] = {
        "method": method,
        "model": make_network(case, seed),
        "batches": batches,
        "evaluate": lambda model: {"norm": sum(p.norm().item() for p in model.parameters())},
        "accelerator": accelerator,
        "epochs": EPOCHS,
        "optimization": case.optimization,
        "checkpoints": folder,
        "checkpoint_seconds": 0.0,
    }
    return Trainer(**(arguments | changes))


def outcome(trained: Trained) -> dict[str, Any]:
    """What an interrupted training must share with an undisturbed one; times differ."""
    return {
        "weights": {name: tensor.clone() for name, tensor in trained.model.state_dict().items()},
        "history": [replace(log, seconds=0.0, images_per_second=0.0) for log in trained.history],
    }


class At(Listener):
    """Calls ``act`` once, as soon as ``step`` is done; gathers what the trainer says."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self.step, self.act = step, act
        self.messages: list[str] = []
        self.losses: list[float] = []
        self.logs: list[EpochRecord] = []

    def on_step(self, step: int, total: int, loss: float) -> None:
        self.losses.append(loss)
        if step == self.step:
            self.step = -1
            self.act()

    def on_epoch(self, log: EpochRecord) -> None:
        self.logs.append(log)

    def on_message(self, text: str) -> None:
        self.messages.append(text)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Bit for bit, under the same names."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
