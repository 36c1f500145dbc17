"""MART: adversarial training that weighs the images it gets wrong more."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsmooth.head import LogitSet
from vsmooth.losses import kl_divergence
from vsmooth.methods.adversarial.base import AdversarialMethod, Crafted
from vsmooth.methods.adversarial.crafting import Inner
from vsmooth.methods.adversarial.trades import check_beta
from vsmooth.methods.base import Loss


@dataclass(frozen=True)
class Mart(AdversarialMethod):
    """``objective(z', y) - log(1 - max_j p'_j) + beta * KL(p || p') (1 - p_y)``, the mean over the images.

    z' and p' are logits and softmax of the adversarial image, p the softmax of the clean one, all over K + V. j runs
    over the wrong real classes: mass on virtual ones is what the labels ask for. The images are those of adversarial
    training on the cross entropy. Loss parts, unweighted: "boosted" (the first two terms) and "robust".

    Errors: ValueError for a negative beta.
    Limits: beta 0 and p' certain of the true class is 0.
    Source: Wang et al., "Improving Adversarial Robustness Requires Revisiting Misclassified Examples" (ICLR 2020),
    Eq. 8 to 11. Their code computes log(1.0001 - p + 1e-12); here log(1 - p) is exact, from the logits.
    """

    beta: float = 5.0
    logits: LogitSet = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_beta(self.beta)

    @property
    def climbed(self) -> LogitSet:
        return self.logits

    @property
    def inner(self) -> Inner:
        return "ce"

    def loss(self, model: nn.Module, crafted: Crafted) -> Loss:
        attacked, natural = model(crafted.images), model(crafted.batch.images)
        labels = crafted.batch.labels
        boosted = self.label_loss(attacked, crafted.batch) - _log_others(attacked, labels, self.num_classes).mean()
        doubted = 1 - functional.softmax(natural.float(), 1).gather(1, labels[:, None]).squeeze(1)
        robust = (kl_divergence(natural, attacked, reduction="none") * doubted).mean()
        return Loss.of({"boosted": (1, boosted), "robust": (self.beta, robust)})


def _log_others(logits: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """(N,): ``log(1 - p_j)`` of the most likely wrong real class j, as the log-sum-exp of all classes but that one."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    wrong = wide[:, :num_classes].scatter(1, labels[:, None], -torch.inf).argmax(1, keepdim=True)
    others = wide.scatter(1, wrong, -torch.inf)
    return others.logsumexp(1) - wide.logsumexp(1)
