"""Training: loop, optimization, checkpoints."""

from vsmooth.train.checkpoint import CheckpointError, load_weights, read_weights, save_weights
from vsmooth.train.hardware import Precision, best_precision, make_accelerator, prefers_channels_last
from vsmooth.train.interrupt import Interrupted
from vsmooth.train.listener import EpochLog, Listener
from vsmooth.train.loop import Trained, Trainer, TrainingDivergedError
from vsmooth.train.optim import Optimization

__all__ = [
    "CheckpointError",
    "EpochLog",
    "Interrupted",
    "Listener",
    "Optimization",
    "Precision",
    "Trained",
    "Trainer",
    "TrainingDivergedError",
    "best_precision",
    "load_weights",
    "make_accelerator",
    "prefers_channels_last",
    "read_weights",
    "save_weights",
]
