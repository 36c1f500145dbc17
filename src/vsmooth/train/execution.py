"""Settings of a training that do not decide its outcome and are therefore not part of the run's key."""

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
    Errors: ValueError for an unknown tracker, no checkpoint to keep, a negative number of workers, numbers above the
    upper bounds.
    """

    track: Tracker | None = None
    """experiment tracker that receives loss, learning rate and validation metrics; None: no tracking"""
    keep_checkpoints: int = 2
    """number of checkpoints to keep during training, newest first"""
    gradient_checkpointing: bool = False
    """recompute the activations of residual blocks in the backward pass: less memory, about a third more time"""
    workers: int | None = None
    """number of processes that decode a streamed data set; 0: decode in the training process; None: one per core, at
    most 16"""
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
