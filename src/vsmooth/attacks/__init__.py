"""Attacks: images inside a ball around the clean ones that a classifier gets wrong."""

from vsmooth.attacks.adaptive import LambdaSweep
from vsmooth.attacks.base import Attack, Attacked
from vsmooth.attacks.climb import Climb, Keep, Rule, input_gradient
from vsmooth.attacks.multi_target import MultiTargetPGD
from vsmooth.attacks.objectives import AdaptiveMargin, Aim, Objective, divergence_from, make_aim
from vsmooth.attacks.pgd import FGSM, PGD, cw20
from vsmooth.attacks.target import Logits, Target
from vsmooth.attacks.threat import Norm, ThreatModel
from vsmooth.attacks.transfer import Transfer

__all__ = [
    "FGSM",
    "PGD",
    "AdaptiveMargin",
    "Aim",
    "Attack",
    "Attacked",
    "Climb",
    "Keep",
    "LambdaSweep",
    "Logits",
    "MultiTargetPGD",
    "Norm",
    "Objective",
    "Rule",
    "Target",
    "ThreatModel",
    "Transfer",
    "cw20",
    "divergence_from",
    "input_gradient",
    "make_aim",
]
