"""Teachers: what gives a student the logits to imitate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import get_args

import torch
from torch import Tensor, nn

from vsmooth.bounds import check_one_of
from vsmooth.data import Batch
from vsmooth.head import LogitSet, virtual_heads


class Teacher(ABC):
    """Gives logits for a batch, without gradients. width: how many for each image, K or K + V."""

    width: int

    @abstractmethod
    def logits(self, batch: Batch) -> Tensor:
        """(B, width) floating point on the device of the images; an ordinary tensor that a backward pass may keep."""


class NetworkTeacher(Teacher):
    """A trained network that looks at the very images the student sees.

    It is used in eval mode, without gradients and in its own precision, whatever the student's. It normalises by itself
    and takes images of any size: wrap it in :class:`vsmooth.models.Resized` where it was trained on another.

    Args:
        network: images (B, C, H, W) in [0, 1] to logits. It is frozen: eval mode, no parameter wants a gradient.
        num_classes: K.
        taught: "real": the first K logits, of any network; "all": K + V, of a network with virtual classes.
        autocast: dtype of mixed precision; ``None``: that of the weights.

    Raises:
        ValueError: "all" of a network without virtual classes; an unknown ``taught``; where it is asked for logits, a
            network that gives another number of them.
    """

    def __init__(
        self,
        network: nn.Module,
        num_classes: int,
        *,
        taught: LogitSet = "real",
        autocast: torch.dtype | None = None,
    ) -> None:
        check_one_of("the logits that are taught", taught, get_args(LogitSet))
        heads = [head for _, head in virtual_heads(network)]
        if taught == "all" and not heads:
            raise ValueError(
                f"the teacher ({type(network).__name__}) has no virtual classes: teach its real logits (--logits real)"
            )
        for head in heads:
            head.keep_virtual = taught == "all"
        self.network = network.eval().requires_grad_(False)
        self.width = num_classes + (heads[0].num_virtual if taught == "all" else 0)
        self.autocast = autocast

    def logits(self, batch: Batch) -> Tensor:
        """(B, width)."""
        if self.network.training:
            self.network.eval()
        device = batch.images.device.type
        mixed = torch.autocast(device, dtype=self.autocast, enabled=self.autocast is not None)
        # Not inference mode: the loss keeps these logits for its backward pass, which inference tensors forbid.
        with torch.no_grad(), mixed:
            found: Tensor = self.network(batch.images)
        check_width(found, self.width)
        return found


class SavedTeacher(Teacher):
    """Logits (N, C) that were saved for the N images of the split, whatever view of them the student sees.

    The batches must tell which samples they hold (``views`` of :class:`vsmooth.data.BatchPlan`).
    Limits: what a teacher says of the plain image is taught for every crop of it.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self.width = rows.shape[1]

    def logits(self, batch: Batch) -> Tensor:
        """(B, C)."""
        indices, _ = places(batch)
        return self.rows[indices].to(batch.images.device, non_blocking=True)


def places(batch: Batch) -> tuple[Tensor, int]:
    """Which samples a batch holds and which view of them; ``ValueError`` if it does not tell, or if they are mixed."""
    if batch.indices is None or batch.view is None:
        raise ValueError("a teacher's saved logits need batches that tell their samples: BatchPlan(..., views=V)")
    if batch.labels.is_floating_point():
        raise ValueError("MixUp and CutMix make images that no saved logits are for: leave them out, or the cache")
    return batch.indices, batch.view


def check_width(logits: Tensor, width: int) -> None:
    """Raise ``ValueError`` unless a teacher's logits are (B, width)."""
    if logits.ndim != 2 or logits.shape[1] != width:
        raise ValueError(
            f"the teacher gives logits of shape {tuple(logits.shape)}, expected (B, {width}): it must know the "
            "student's classes, in the same order"
        )
