"""Prediction of one split by several processes: each predicts a part, all receive the whole."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor

from vsmooth.records.predictions import Predictions


def part_of(count: int, rank: int, world_size: int) -> Tensor:
    """The indices of process ``rank``: parts follow each other, differ by one at most and overlap nowhere.

    Raises:
        ValueError: fewer samples than processes.
    """
    if count < world_size:
        raise ValueError(f"a split of {count} images cannot be shared by {world_size} processes; use fewer processes")
    return torch.arange(rank * count // world_size, (rank + 1) * count // world_size)


def gather_predictions(predictions: Predictions, accelerator: Accelerator) -> Predictions:
    """The predictions of all processes' parts (:func:`part_of`) in the order of the split, on every process."""
    if accelerator.num_processes == 1:
        return predictions
    # Parts differ in length and a gather wants equal ones: padded, then cut.
    lengths = _gather(torch.tensor([len(predictions)]), accelerator).tolist()
    longest = max(lengths)

    def join(tensor: Tensor) -> Tensor:
        padding = tensor.new_zeros((longest - len(tensor), *tensor.shape[1:]))
        parts = _gather(torch.cat([tensor, padding]), accelerator).split(longest)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    return Predictions(join(predictions.logits), join(predictions.labels))


def _gather(tensor: Tensor, accelerator: Accelerator) -> Tensor:
    gathered: Tensor = accelerator.gather(tensor.to(accelerator.device))
    return gathered.cpu()
