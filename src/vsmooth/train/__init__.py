"""Training: loop, optimization, checkpoints."""

from vsmooth.train.checkpoint import CheckpointError, has_checkpoint, load_weights, read_weights, save_weights
from vsmooth.train.execution import Execution, Tracker
from vsmooth.train.hardware import Precision, best_precision, make_accelerator
from vsmooth.train.interrupt import Interrupted, terminable
from vsmooth.train.listener import Listener
from vsmooth.train.loop import Selection, Trained, Trainer, TrainingDivergedError
from vsmooth.train.optim import Optimization
from vsmooth.train.processes import disconnect, launched, synchronise_batchnorm
from vsmooth.train.tracking import tracked

__all__ = [
    "CheckpointError",
    "Execution",
    "Interrupted",
    "Listener",
    "Optimization",
    "Precision",
    "Selection",
    "Tracker",
    "Trained",
    "Trainer",
    "TrainingDivergedError",
    "best_precision",
    "disconnect",
    "has_checkpoint",
    "launched",
    "load_weights",
    "make_accelerator",
    "read_weights",
    "save_weights",
    "synchronise_batchnorm",
    "terminable",
    "tracked",
]
