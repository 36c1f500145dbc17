"""A script: trains every case, killed with SIGKILL again and again, and leaves how each ended."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from training_driver import CASES, STEPS, TOTAL, At, Case, make_trainer, outcome

from vsmooth.train import CheckpointError, Trainer
from vsmooth.train import checkpoint as checkpoint_module

# Die as soon as a step is done, or right before or after the n-th call of a function that saving uses.
PLANS: list[list[Any]] = [
    [1],
    [3],
    ["replace", 3, True],
    ["replace", 2, False],
    ["save_file", 5, True],
    [STEPS],
    [TOTAL - 1],
]


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


@contextmanager
def last_words() -> Iterator[None]:
    """Leave a forked process at the end, also by an error, lest it goes on with the work of its parent."""
    try:
        yield
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


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
    with last_words():
        save_outcome(make_trainer(case, folder / "checkpoints", listener=act), folder)
        (folder / "messages.txt").write_text("\n".join(act.messages))


def train_with_random_kills(case: Case, folder: Path, seed: int) -> int:
    """Kill the training after random times until it gets through; the number of kills, at least one."""
    draws, patience = random.Random(seed), 0.12
    while not (kills := kill_until_through(case, folder, draws, patience)):
        shutil.rmtree(folder)  # it was through before the first kill: again, with less patience
        folder.mkdir()
        patience /= 2
    return kills


def kill_until_through(case: Case, folder: Path, draws: random.Random, patience: float) -> int:
    kills = 0
    while not (folder / "outcome.pt").exists():
        if kills > 6:
            raise RuntimeError("a training that was not killed did not end")
        child = os.fork()
        if not child:
            with last_words():
                save_outcome(make_trainer(case, folder / "checkpoints"), folder)
        if kills < 6:
            time.sleep(draws.uniform(0, patience))
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
        # Once here, not in every fork: what torch and accelerate import when they first need it.
        make_trainer(case, folder / "warm" / name, checkpoint_seconds=1e9).train()
    report: dict[str, Any] = {}
    for name, case in CASES.items():
        own = folder / name
        own.mkdir(parents=True)
        for plan in PLANS:
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
