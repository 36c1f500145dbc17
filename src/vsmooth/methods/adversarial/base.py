"""What all adversarial methods share: crafted batches, the label warm-up, and what is watched on held-out images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vsmooth.bounds import MOST_EPOCHS, check_count
from vsmooth.data import Batch, BatchSource
from vsmooth.head import LogitSet
from vsmooth.labels import OneHot
from vsmooth.losses import Objective, smoothed_cross_entropy
from vsmooth.methods.adversarial.crafting import Crafter, Crafting, Inner
from vsmooth.methods.adversarial.watch import Watch, watch_robustness
from vsmooth.methods.base import Loss, Method
from vsmooth.records.run import EpochRecord


class Crafted(NamedTuple):
    """A batch and its adversarial images (N, C, H, W), the clean ones where there is nothing to search."""

    batch: Batch
    images: Tensor

    @property
    def is_clean(self) -> bool:
        """Whether the adversarial images are the batch's own."""
        return self.images is self.batch.images


@dataclass(frozen=True)
class AdversarialMethod(Method):
    """Training on images that are searched in a ball around the training images.

    objective, num_classes: the loss of labels, over K real classes. crafting: how the images are made. label_warmup:
    epochs at the start in which the labels are one-hot (over all K + V logits), as the authors' code has them before
    their virtual labels begin. watch: the attack on held-out images after each epoch.
    A batch with a second part is one of images with labels, real or pseudo: both parts are trained on as one.
    """

    objective: Objective
    num_classes: int
    crafting: Crafting = field(default_factory=Crafting)
    watch: Watch = field(default_factory=Watch)
    label_warmup: int = 0

    def __post_init__(self) -> None:
        check_label_warmup(self.label_warmup)

    @property
    @abstractmethod
    def climbed(self) -> LogitSet:
        """The logits that the search climbs on."""

    @property
    @abstractmethod
    def inner(self) -> Inner:
        """What the search maximises."""

    @cached_property
    def crafter(self) -> Crafter:
        """It keeps the folded copy of the network from step to step."""
        return Crafter(self.crafting, self.num_classes, self.climbed)

    def craft(self, model: nn.Module, batch: Batch) -> Crafted:
        """The batch with its adversarial images; of a batch of two parts both."""
        whole = joined(batch)
        return Crafted(whole, self.crafter.images(model, whole, self.inner))

    @abstractmethod
    def loss(self, model: nn.Module, crafted: Crafted) -> Loss: ...

    def label_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The objective, or cross entropy with one-hot labels over all logits while the labels warm up."""
        if batch.epoch < self.label_warmup:
            return smoothed_cross_entropy(logits, batch.labels, OneHot(), logits.shape[1])
        return self.objective.loss(logits, batch.labels, self.num_classes)

    def validate(self, model: nn.Module, batches: BatchSource) -> Mapping[str, float]:
        """Accuracy under attack on the first held-out images, and the virtual mass on clean and attacked ones."""
        return watch_robustness(model, batches, self.num_classes, self.crafting, self.watch)

    def notice(self, history: Sequence[EpochRecord]) -> str | None:
        """A warning where the network has learned to fool the one-step attack alone (catastrophic overfitting)."""
        return self.watch.notice(history)


def joined(batch: Batch) -> Batch:
    """A batch of two parts as one batch; the first part by itself where there is no second."""
    if batch.extra is None:
        return batch
    parts = (batch, batch.extra)
    images, labels = (torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    return Batch(images, labels, epoch=batch.epoch)


def check_label_warmup(epochs: int) -> None:
    """``ValueError`` unless it is a number of epochs."""
    check_count("label_warmup", epochs, 0, MOST_EPOCHS, "no training has more epochs")
