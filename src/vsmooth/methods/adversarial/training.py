"""Adversarial training: the objective on adversarial images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from vsmooth.head import LogitSet
from vsmooth.methods.adversarial.base import AdversarialMethod, Crafted
from vsmooth.methods.adversarial.crafting import Inner
from vsmooth.methods.base import Loss


@dataclass(frozen=True)
class AdversarialTraining(AdversarialMethod):
    """``objective(model(x'), y)`` with x' the image in the ball around x on which ``attack`` climbed highest.

    attack: "ce", cross entropy with the hard label, whatever the labels of the loss (the paper's choice); "kl", the
    divergence from the clean prediction (it needs a start beside the clean image); "margin". logits: "all" K + V, or
    the "real" ones, that the attack climbs on. One step of 1.25 epsilon from a uniform start is Fast-AT.

    Limits: epsilon 0 is :class:`Standard`.
    Source: Madry et al. (ICLR 2018), Eq. 2.1; Wong et al. (ICLR 2020) for Fast-AT; the paper (2025), Sec. 2.2, 4.2.
    """

    attack: Inner = "ce"
    logits: LogitSet = "all"

    @property
    def climbed(self) -> LogitSet:
        return self.logits

    @property
    def inner(self) -> Inner:
        return self.attack

    def loss(self, model: nn.Module, crafted: Crafted) -> Loss:
        return Loss(self.label_loss(model(crafted.images), crafted.batch))
