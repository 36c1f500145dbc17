"""How a training is carried out, as far as it leaves the outcome alone: it does not enter the run's key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]


@dataclass(frozen=True)
class Execution:
    """Tracking, checkpoints, memory, workers.

    Limits: gradient checkpointing and sharding change the order of float operations, so a run may differ from one
    without them in the last bits.
    Errors: ValueError for an unknown tracker, no checkpoint to keep, a negative number of workers.
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
        if self.track is not None and self.track not in get_args(Tracker):
            raise ValueError(f"track must be one of {', '.join(get_args(Tracker))}, got {self.track!r}")
        if self.keep_checkpoints < 1:
            raise ValueError(f"keep_checkpoints must be at least 1, got {self.keep_checkpoints}")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers must be 0 (none) or more, got {self.workers}")
