"""TRADES: the objective on clean images, and a divergence that keeps the prediction the same inside the ball."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from vsmooth.data import Batch
from vsmooth.head import LogitSet
from vsmooth.losses import kl_divergence
from vsmooth.methods.adversarial.base import AdversarialMethod, Crafted, joined
from vsmooth.methods.adversarial.crafting import Inner
from vsmooth.methods.base import Loss

TradesLogits = Literal["all", "real", "hybrid"]
_HEAVIEST = 1_000_000


@dataclass(frozen=True)
class Trades(AdversarialMethod):
    """``objective(model(x), y) + beta * KL(p(x) || p(x'))`` with x' where that divergence is highest in the ball.

    beta: weight of the divergence, >= 0. logits: what p is a softmax of, in the search and in the loss: "all" K + V
    (the default of the paper's code), "real", or "hybrid": the search on the real ones, the loss on all.
    Loss parts, unweighted: "natural" and "robust", the divergence. The clean images pass the network once.

    Errors: ValueError for a negative beta.
    Limits: beta 0 and epsilon 0 are :class:`Standard`, and nothing is searched.
    Source: Zhang et al., "Theoretically Principled Trade-off between Robustness and Accuracy" (ICML 2019), Eq. 5.
    """

    beta: float = 6.0
    logits: TradesLogits = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_beta(self.beta)

    @property
    def climbed(self) -> LogitSet:
        return "all" if self.logits == "all" else "real"

    @property
    def inner(self) -> Inner:
        return "kl"

    def craft(self, model: nn.Module, batch: Batch) -> Crafted:
        if not self.beta:
            whole = joined(batch)
            return Crafted(whole, whole.images)
        return super().craft(model, batch)

    def loss(self, model: nn.Module, crafted: Crafted) -> Loss:
        natural = model(crafted.batch.images)
        labels = self.label_loss(natural, crafted.batch)
        if crafted.is_clean:
            return Loss(labels, {"natural": labels.detach(), "robust": labels.new_zeros(())})
        robust = kl_divergence(*(self._compared(logits) for logits in (natural, model(crafted.images))))
        return Loss.of({"natural": (1, labels), "robust": (self.beta, robust)})

    def _compared(self, logits: Tensor) -> Tensor:
        return logits[:, : self.num_classes] if self.logits == "real" else logits


def check_beta(beta: float) -> None:
    """``ValueError`` for a weight of the robust term that is negative or would overflow."""
    if not 0 <= beta < math.inf or beta > _HEAVIEST:
        raise ValueError(f"beta, the weight of the robust term, must be in 0..{_HEAVIEST:,}, got {beta}")
