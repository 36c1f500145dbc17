"""How a training is carried out, as far as it leaves the outcome alone: it does not enter the run's key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vsmooth.bounds import check_count, check_one_of

Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
_MOST_KEPT, _MOST_WORKERS = 10_000, 256


@dataclass(frozen=True)
class Execution:
    """Tracking, checkpoints, memory, workers.

    Limits: gradient checkpointing and sharding change the order of float operations, so a run may differ from one
    without them in the last bits.
    Errors: ValueError for an unknown tracker, no checkpoint to keep, a negative number of workers, absurd numbers.
    """

    track: Tracker | None = None
    """also send loss, learning rate and validation scores there, by accelerate's trackers"""
    keep_checkpoints: int = 2
    """how many of the newest checkpoints are kept while a run trains"""
    gradient_checkpointing: bool = False
    """compute the activations of residual blocks again in the backward pass: less memory, about a third more time"""
    workers: int | None = None
    """processes that decode a streamed data set; 0: none, the training does it; None: one a core, at most 16"""
    fsdp: bool = False
    """with several processes: shard weights, gradients and optimizer state over them (PyTorch FSDP2)"""

    def __post_init__(self) -> None:
        if self.track is not None:
            check_one_of("track", self.track, get_args(Tracker))
        why = "each holds all weights and the optimizer's state"
        check_count("keep_checkpoints", self.keep_checkpoints, 1, _MOST_KEPT, why)
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers must be 0 (none) or more, got {self.workers}")
        if self.workers is not None:
            check_count("workers", self.workers, 0, _MOST_WORKERS, "each is a process with its own copy of Python")
