"""The position of a training as checkpoints keep it beside the tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vsmooth.records.bounds import Count, Known, KnownNotNegative
from vsmooth.records.run import EpochRecord, check_epochs
from vsmooth.records.serialisation import from_plain
from vsmooth.train.checkpoint import Checkpoint, CheckpointError
from vsmooth.train.sittings import Environment


@dataclass
class TrainingState:
    """What a resumed run needs besides the tensors."""

    step: Count = 0  # batches done, over all epochs
    loss_sum: Known = 0.0  # over this epoch's batches
    part_sums: dict[str, Known] = field(default_factory=dict)  # the same of the parts of the loss
    seconds: KnownNotNegative = 0.0  # in this epoch's training steps
    history: tuple[EpochRecord, ...] = ()
    environments: tuple[Environment, ...] = ()  # one for each sitting
    notices: tuple[str, ...] = ()  # what the method said of its epochs
    best_epoch: Count = 0  # of the best weights so far, counted from 1; 0 where none are kept


def stored_state(checkpoint: Checkpoint, folder: Path, batches: int) -> TrainingState:
    """The state that a checkpoint in `folder` holds, of a training with so many batches in an epoch.

    Raises:
        CheckpointError: a value cannot be right; the message names it and the folder of the checkpoint.
    """
    try:
        state = from_plain(TrainingState, checkpoint.values)
        if state.step != checkpoint.step:
            raise ValueError(f"step: expected {checkpoint.step}, as the checkpoint says of itself, got {state.step}")
        check_epochs(state.history, state.step // batches)
        if state.best_epoch > len(state.history):
            raise ValueError(f"best_epoch: expected an epoch of the {len(state.history)} done, got {state.best_epoch}")
    except ValueError as error:
        place = folder / f"step-{checkpoint.step:08d}"
        raise CheckpointError(f"{place} is damaged: values.{error}; delete it and run the same command again") from None
    return state
