"""Adversarial training as values of a run's spec."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, get_args

from vsmooth.bounds import check_one_of
from vsmooth.data import NO_MIXING, Mixing
from vsmooth.experiments.specs.method import MethodSettings
from vsmooth.head import LogitSet
from vsmooth.losses import Objective
from vsmooth.methods import AdversarialMethod, AdversarialTraining, Crafting, Mart, Method, Teacher, Trades, Watch
from vsmooth.methods.adversarial import ROBUST, Inner, TradesLogits
from vsmooth.methods.adversarial.base import check_label_warmup
from vsmooth.methods.adversarial.trades import check_beta


@dataclass(frozen=True)
class AdversarialSettings(MethodSettings):
    """What all adversarial methods are told; see :class:`vsmooth.methods.AdversarialMethod`.

    The fields of a subclass are those of its method, which is built from them.
    """

    method: ClassVar[type[AdversarialMethod]]
    needs_whole_weights: ClassVar[bool] = True
    crafting: Crafting = field(default_factory=Crafting)
    watch: Watch = field(default_factory=Watch)
    label_warmup: int = 0

    def __post_init__(self) -> None:
        check_label_warmup(self.label_warmup)

    def check_fits(self, mixing: Mixing) -> None:
        """Raise ``ValueError`` for mixed images, whose labels an attack cannot lead away from."""
        if mixing != NO_MIXING:
            raise ValueError(
                "adversarial training needs images of one class each: leave out MixUp and CutMix (--mixup 0 --cutmix 0)"
            )

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    def selected_by(self) -> str | None:
        """The validation metric whose best epoch is kept beside the last: accuracy under attack."""
        return ROBUST if self.watch.images else None

    @property
    def patience(self) -> int | None:
        return self.watch.patience

    def doubt(self) -> str | None:
        if self.crafting.epsilon == 0:
            return "epsilon is 0: there is nothing to attack, so this is standard training"
        return None

    def own(self) -> dict[str, Any]:
        """The fields by name, as the method takes them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def build(self, objective: Objective, num_classes: int, teacher: Teacher | None) -> Method:
        return self.method(objective, num_classes, **self.own())


@dataclass(frozen=True)
class AdversarialTrainingSettings(AdversarialSettings):
    """PGD adversarial training; see :class:`vsmooth.methods.AdversarialTraining`."""

    kind: ClassVar[str] = "at"
    method = AdversarialTraining
    attack: Inner = "ce"
    logits: LogitSet = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("the objective of the training attack", self.attack, get_args(Inner))
        check_one_of("the attacked logits", self.logits, get_args(LogitSet))
        if self.attack == "kl" and self.crafting.start == "clean":
            raise ValueError('the attack "kl" has no gradient at the clean image: choose --start uniform or gaussian')

    @property
    def name(self) -> str:
        return "AT"


def one_step(epsilon: float = Crafting.epsilon) -> Crafting:
    """FGSM from a uniform start with a step of 1.25 epsilon (Wong et al., ICLR 2020)."""
    return Crafting(epsilon=epsilon, steps=1, step_size=min(1.0, 1.25 * epsilon) or Crafting.step_size)


@dataclass(frozen=True)
class FastSettings(AdversarialTrainingSettings):
    """Fast-AT: adversarial training with one step, the cheap baseline, which can collapse (see ``watch``)."""

    kind: ClassVar[str] = "fast-at"
    crafting: Crafting = field(default_factory=one_step)

    @property
    def name(self) -> str:
        return "Fast-AT"


@dataclass(frozen=True)
class TradesSettings(AdversarialSettings):
    """TRADES; see :class:`vsmooth.methods.Trades`."""

    kind: ClassVar[str] = "trades"
    method = Trades
    crafting: Crafting = field(default_factory=lambda: Crafting(start="gaussian"))
    beta: float = 6.0
    logits: TradesLogits = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_beta(self.beta)
        check_one_of("the logits of the divergence", self.logits, get_args(TradesLogits))
        if self.crafting.start == "clean":
            raise ValueError("TRADES climbs on a divergence that has no gradient at the clean image: --start gaussian")

    @property
    def name(self) -> str:
        return f"TRADES {self.beta:g}"


@dataclass(frozen=True)
class MartSettings(AdversarialSettings):
    """MART; see :class:`vsmooth.methods.Mart`."""

    kind: ClassVar[str] = "mart"
    method = Mart
    beta: float = 5.0
    logits: LogitSet = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_beta(self.beta)
        check_one_of("the attacked logits", self.logits, get_args(LogitSet))

    @property
    def name(self) -> str:
        return f"MART {self.beta:g}"
