"""A script for two processes: trains small networks together and leaves what each process saw."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from training_driver import CLASSES, make_images

from vsmooth import add_virtual_classes
from vsmooth.data import Augmentation, Batch, Batches, BatchPlan, Placement
from vsmooth.evaluate import gather_predictions, part_of, predict
from vsmooth.labels import VirtualSmoothing
from vsmooth.losses.objective import LabelObjective
from vsmooth.methods import Standard
from vsmooth.train import (
    Interrupted,
    Listener,
    Optimization,
    Trainer,
    TrainingDivergedError,
    disconnect,
    make_accelerator,
)

BATCH, EPOCHS, STEPS = 12, 4, 5
STOP = 7
SCHEME = VirtualSmoothing(0.2)


@dataclass
class Recorded:
    """Batches that remember the labels they gave; ``poison`` makes one of them NaN."""

    batches: Batches
    poison: int = -1
    seen: list[list[int]] = field(default_factory=list)

    @property
    def batch_size(self) -> int:
        return self.batches.batch_size

    @property
    def seed(self) -> int:
        return self.batches.seed

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for batch in self.batches.epoch(epoch, start):
            self.seen.append(batch.labels.tolist())
            yield replace(batch, images=batch.images * (float("nan") if len(self.seen) == self.poison else 1))


class Losses(Listener):
    """Gathers the losses; stops itself at one step."""

    def __init__(self, stop_at: int = -1) -> None:
        self.losses: list[float] = []
        self.stop_at = stop_at

    def on_step(self, step: int, total: int, loss: float) -> None:
        self.losses.append(loss)
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)


def make_network(*, batchnorm: bool = False, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(3)
    norm = nn.BatchNorm2d(4) if batchnorm else nn.Identity()
    convolutions = [nn.Conv2d(1, 4, 3, stride=2), norm, nn.Tanh(), nn.Conv2d(4, 4, 3, padding=1)]
    features = [*convolutions, nn.Flatten(), nn.Dropout(dropout)]
    return add_virtual_classes(nn.Sequential(*features, nn.Linear(36, CLASSES)))


def make_trainer(folder: Path, listener: Losses, **changes: Any) -> tuple[Trainer, Recorded]:
    options = {"batchnorm": False, "dropout": 0.0, "shard": False, "poison": -1, "accumulate": 1, **changes}
    accelerator = make_accelerator("fp32", accumulate=options["accumulate"])
    batches = Recorded(
        Batches(
            make_images(BATCH * STEPS + 3),
            BatchPlan(BATCH, shuffle=True, drop_last=True, seed=4, augmentation=Augmentation(2)),
            Placement("cpu", accelerator.process_index, accelerator.num_processes),
        ),
        options["poison"] if accelerator.process_index else -1,
    )
    trainer = Trainer(
        Standard(LabelObjective(SCHEME), CLASSES),
        # As a run has it; FSDP must cope with the strides.
        make_network(batchnorm=options["batchnorm"], dropout=options["dropout"]).to(memory_format=torch.channels_last),
        batches,
        lambda model: {"norm": sum(float(p.detach().norm()) for p in model.parameters())},
        accelerator,
        epochs=EPOCHS,
        optimization=Optimization(schedule="cosine", clip_norm=1.0, accumulate=options["accumulate"]),
        checkpoints=folder,
        checkpoint_seconds=1e9,
        shard=options["shard"],
        listener=listener,
    )
    return trainer, batches


def run(name: str, root: Path, stop_rank: int | None = None, **changes: Any) -> None:
    """Train as ``name`` says and write what this process saw and has."""
    rank = int(os.environ["RANK"])
    listener = Losses(STOP if rank == stop_rank else -1)
    trainer, batches = make_trainer(root / name / "checkpoints", listener, **changes)
    ended = "through"
    try:
        weights = trainer.train().model.state_dict()
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, root / f"{name}-{rank}.safetensors")
    except (Interrupted, TrainingDivergedError) as error:
        ended = f"{type(error).__name__}: {error}"
    report = {"losses": listener.losses, "labels": batches.seen, "ended": ended, "step": trainer.state.step}
    (root / f"{name}-{rank}.json").write_text(json.dumps(report))


def masks(root: Path) -> None:
    """What a network with dropout says to the same images in the last step of each process."""
    trainer, _ = make_trainer(root / "masks" / "checkpoints", Losses(), dropout=0.5)
    seen: list[list[float]] = []
    forward = trainer.network.forward
    trainer.network.forward = lambda images: seen.append(forward(torch.ones(1, 1, 8, 8))[0].tolist()) or forward(images)
    trainer.train()
    rank = trainer.accelerator.process_index
    (root / f"masks-{rank}.json").write_text(json.dumps({"logits": seen[-1]}))


def gather(root: Path) -> None:
    """An uneven split, predicted by both."""
    accelerator = make_accelerator("fp32")
    images = make_images(83)
    part = images.subset(part_of(83, accelerator.process_index, accelerator.num_processes))
    batches = Batches(part, BatchPlan(10, shuffle=False, drop_last=False), Placement("cpu"))
    found = gather_predictions(predict(make_network(), batches.epoch(0)), accelerator)
    found.save(root / f"gather-{accelerator.process_index}.npz")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    run("copied", folder)
    run("sharded", folder, shard=True)
    run("accumulated", folder, accumulate=2)
    run("batchnorm", folder, batchnorm=True)
    run("dropout", folder, dropout=0.5)
    run("stopped", folder, stop_rank=1)
    run("sharded-stopped", folder, stop_rank=0, shard=True)
    run("resumed", folder)
    run("sharded-resumed", folder, shard=True)
    run("diverged", folder, poison=3)
    masks(folder)
    gather(folder)
    disconnect()
