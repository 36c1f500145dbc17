"""Reject classes: outliers get classes of their own, which they choose themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsmooth.bounds import check_one_of
from vsmooth.data import Batch
from vsmooth.losses import Objective
from vsmooth.methods.base import Loss, Method
from vsmooth.methods.outlier.branches import both_logits, check_weight

PseudoLabel = Literal["decision", "best-reject", "random"]


class Drawn(NamedTuple):
    """A batch, and for each of its outliers a reject class at random, (M,) in 0..R-1."""

    batch: Batch
    random: Tensor


@dataclass(frozen=True)
class RejectClasses(Method):
    """``objective(images of the classes) + weight * objective(outliers, pseudo-labels)`` over K + R ordinary classes.

    The R reject classes follow the K real ones, virtual ones follow them; the objective (label smoothing, virtual
    smoothing) takes K + R as its classes. pseudo_label: the class of an outlier; "decision": the one that the network
    decides for among K + R where that is a reject class, else one at random; "best-reject": the reject class with the
    largest logit; "random". The random choice is drawn once for a batch, so that a step rule which asks for the loss
    again finds the same labels as far as the network decides the same. A network in eval mode gives the K real logits
    alone: a reject class is never predicted.
    Loss parts, unweighted: "in" and "out", means over their own images.

    Limits: weight 0 trains the real classes against reject classes that nothing supports.
    Source: Mohseni et al., "Self-Supervised Learning for Generalizable Out-of-Distribution Detection" (AAAI 2020).
    """

    objective: Objective
    num_classes: int
    num_reject: int
    weight: float = 0.5
    pseudo_label: PseudoLabel = "decision"

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_one_of("the pseudo-label rule", self.pseudo_label, get_args(PseudoLabel))
        if self.num_reject < 1:
            raise ValueError(f"the number of reject classes must be at least 1, got {self.num_reject}")

    def craft(self, model: nn.Module, batch: Batch) -> Drawn:
        """The batch with a random reject class for each outlier."""
        count = 0 if batch.extra is None else len(batch.extra.images)
        return Drawn(batch, torch.randint(self.num_reject, (count,)).to(batch.images.device))

    def loss(self, model: nn.Module, crafted: Drawn) -> Loss:
        inside, outside = both_logits(model, crafted.batch)
        ordinary, labels = self.num_classes + self.num_reject, crafted.batch.labels
        if labels.is_floating_point():  # mixed: no image has a share of a reject class
            labels = functional.pad(labels, (0, self.num_reject))
        own = self.objective.loss(inside, labels, ordinary)
        rejected = self.objective.loss(outside, self.pseudo_labels(outside, crafted.random), ordinary)
        return Loss.of({"in": (1, own), "out": (self.weight, rejected)})

    def pseudo_labels(self, logits: Tensor, random: Tensor) -> Tensor:
        """Classes (M,) in K..K+R-1 of outliers with logits (M, K + R + V); ``random``: in 0..R-1."""
        first, ordinary = self.num_classes, self.num_classes + self.num_reject
        if self.pseudo_label == "best-reject":
            return first + logits[:, first:ordinary].detach().argmax(1)
        if self.pseudo_label == "random":
            return first + random
        decided = logits[:, :ordinary].detach().argmax(1)
        return torch.where(decided >= first, decided, first + random)
