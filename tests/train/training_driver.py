"""A small training that a test may interrupt, and, run as a script, one that is killed again and again."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsmooth.data import Augmentation, Batches, ImageSet
from vsmooth.labels import LabelScheme, OneHot, VirtualSmoothing
from vsmooth.methods import Method, Standard
from vsmooth.train import CheckpointError, EpochLog, Listener, Optimization, Trained, Trainer, make_accelerator
from vsmooth.train import checkpoint as checkpoint_module

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
        make_images(), BATCH, augmentation=Augmentation(2), shuffle=True, seed=seed, drop_last=True, device="cpu"
    )
    method: Method = Standard(case.scheme, CLASSES)
    accelerator = make_accelerator(
        case.precision, accumulate=case.optimization.accumulate, compile_model=case.compiled
    )
    arguments: dict[str, Any] = {
        "method": method,
        "model": make_network(case, seed),
        "batches": batches,
        "evaluate": lambda model: {"norm": float(sum(p.detach().double().norm() for p in model.parameters()))},
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
        self.logs: list[EpochLog] = []

    def on_step(self, step: int, total: int, loss: float) -> None:
        self.losses.append(loss)
        if step == self.step:
            self.step = -1
            self.act()

    def on_epoch(self, log: EpochLog) -> None:
        self.logs.append(log)

    def on_message(self, text: str) -> None:
        self.messages.append(text)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_inside(name: str, call: int, before: bool) -> None:
    """Arrange for SIGKILL right before or after the ``call``-th call of a function that saving uses."""
    owner = checkpoint_module.os if name == "replace" else checkpoint_module
    real = getattr(owner, name)
    calls = 0

    def deadly(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and before:
            die()
        result = real(*arguments, **options)
        if calls == call:
            die()
        return result

    setattr(owner, name, deadly)


def train_until_killed(case: Case, folder: Path, plan: list[Any] | None) -> None:
    """In a forked process: train as ``plan`` says, [step] or [function, call, before], or to the end."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    act = At(-1, die)
    if plan is not None and len(plan) == 1:
        act = At(plan[0], die)
    elif plan is not None:
        die_inside(*plan)
    save_outcome(make_trainer(case, folder / "checkpoints", listener=act), folder)
    (folder / "messages.txt").write_text("\n".join(act.messages))
    os._exit(0)


def train_with_random_kills(case: Case, folder: Path, seed: int) -> int:
    """Kill the training after a random time, start it again, until it gets through; the number of kills."""
    draws = random.Random(seed)
    kills = 0
    while not (folder / "outcome.pt").exists():
        child = os.fork()
        if not child:
            save_outcome(make_trainer(case, folder / "checkpoints"), folder)
            os._exit(0)
        if kills < 6:
            time.sleep(draws.uniform(0.005, 0.12))
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
    return kills - 1


def train_with_a_damaged_checkpoint(case: Case, folder: Path) -> None:
    """Kill after step 9, truncate the newest checkpoint, go on."""
    folder.mkdir()
    train_until_killed(case, folder, [9])
    newest = max((folder / "checkpoints").iterdir()) / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:-5])
    train_until_killed(case, folder, None)


def train_on_a_full_disk(folder: Path) -> str:
    """A limit on the size of files lets the small ones of a checkpoint through and stops the weights."""
    case = CASES["sgd"]
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill = At(3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1])))
    try:
        make_trainer(case, folder / "checkpoints", listener=fill).train()
    except CheckpointError as error:
        return str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    return ""


def save_outcome(trainer: Trainer, folder: Path) -> None:
    partial = folder / "partial.pt"
    torch.save(outcome(trainer.train()), partial)
    partial.rename(folder / "outcome.pt")


def main(folder: Path) -> None:
    """Kill every case at several points; ``report.json`` says how often, ``outcome.pt`` how each ended."""
    torch.set_num_threads(1)
    for name, case in CASES.items():
        make_trainer(case, folder / "warm" / name, checkpoint_seconds=1e9).train()  # what is lazily imported, once
    report: dict[str, Any] = {}
    for name, case in CASES.items():
        own = folder / name
        own.mkdir(parents=True)
        plans = [[1], [3], ["replace", 3, True], ["replace", 2, False], ["save_file", 5, True], [STEPS], [TOTAL - 1]]
        for plan in plans:
            train_until_killed(case, own, plan)
        train_until_killed(case, own, None)
        train_with_a_damaged_checkpoint(case, folder / f"{name}-damaged")
        timed = folder / f"{name}-timed"
        timed.mkdir()
        report[f"{name}-timed"] = train_with_random_kills(case, timed, seed=len(report))
    (folder / "full").mkdir()
    report["full"] = train_on_a_full_disk(folder / "full")
    save_outcome(make_trainer(CASES["sgd"], folder / "full" / "checkpoints"), folder / "full")
    (folder / "report.json").write_text(json.dumps(report))


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Bit for bit, under the same names."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
