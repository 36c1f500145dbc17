"""Adversarial training and robust distillation."""

from vsmooth.methods.adversarial.base import AdversarialMethod, Crafted
from vsmooth.methods.adversarial.crafting import BatchNormMode, Crafter, Crafting, Inner, Start
from vsmooth.methods.adversarial.mart import Mart
from vsmooth.methods.adversarial.robust_distillation import RobustDistillation, StudentAttack
from vsmooth.methods.adversarial.trades import Trades, TradesLogits
from vsmooth.methods.adversarial.training import AdversarialTraining
from vsmooth.methods.adversarial.watch import ROBUST, Watch, watch_robustness

__all__ = [
    "ROBUST",
    "AdversarialMethod",
    "AdversarialTraining",
    "BatchNormMode",
    "Crafted",
    "Crafter",
    "Crafting",
    "Inner",
    "Mart",
    "RobustDistillation",
    "Start",
    "StudentAttack",
    "Trades",
    "TradesLogits",
    "Watch",
    "watch_robustness",
]
