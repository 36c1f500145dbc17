"""Projected gradient descent and its one-step and margin forms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vsmooth.attacks.base import Attack
from vsmooth.attacks.climb import Climb, Keep, Rule, attempt_in_turn, check_count
from vsmooth.attacks.objectives import AdaptiveMargin, Aim, Objective, check_objective, make_aim
from vsmooth.attacks.target import Target
from vsmooth.attacks.threat import ThreatModel


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient ascent on an objective; steps, step_size, rule and keep as :class:`Climb` has them.

    objective: "ce", "margin" (CW), "dlr", "kl" (against the clean softmax, as TRADES) or an :class:`AdaptiveMargin`.
    restarts: climbs in all; each takes the samples that stand after those before it.
    random_start: whether the first climb begins at a random place of the ball; the later ones always do.

    Errors: ValueError for a setting out of range; "kl" from the clean image, where its gradient is 0.
    Limits: one step of epsilon is FGSM. Source: Madry et al. (ICLR 2018), Sec. 2.1.
    """

    objective: Objective | AdaptiveMargin = "ce"
    steps: int = 20
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = False
    rule: Rule = "constant"
    keep: Keep = "last"

    def __post_init__(self) -> None:
        check_objective(self.objective)
        check_count(self.restarts, "restarts")
        self._climb()
        if self.objective == "kl" and not self.random_start:
            raise ValueError("objective 'kl' needs random_start=True: its gradient at the clean image is zero")

    @property
    def name(self) -> str:
        """PGD-20; CW-20 on the margin; PGD-20 momentum for another rule; x5 for five restarts."""
        other = isinstance(self.objective, AdaptiveMargin)
        kind = "adaptive" if other else {"ce": "PGD", "margin": "CW"}.get(str(self.objective), f"PGD-{self.objective}")
        rule = "" if self.rule == "constant" else f" {self.rule}"
        return f"{kind}-{self.steps}{rule}" + (f" x{self.restarts}" if self.restarts > 1 else "")

    def _climb(self) -> Climb:
        return Climb(self.steps, self.step_size, self.rule, self.keep)

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        aim = make_aim(self.objective, target, images, labels)
        return climb_with_restarts(
            self._climb(), target, aim, images, labels, threat, generator, self.restarts, self.random_start
        )


@dataclass(frozen=True)
class FGSM(Attack):
    """One step of epsilon from the clean image: ``x + epsilon * sign(gradient)`` for "linf".

    Limits: exact for a linear model. Source: Goodfellow et al. (ICLR 2015), Sec. 4.
    """

    objective: Objective = "ce"

    def __post_init__(self) -> None:
        check_objective(self.objective)
        if self.objective == "kl":
            raise ValueError("FGSM starts at the clean image, where the gradient of 'kl' is zero: use 'ce' or 'margin'")

    @property
    def name(self) -> str:
        """FGSM, and the objective if it is not cross entropy."""
        return "FGSM" if self.objective == "ce" else f"FGSM-{self.objective}"

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        aim = make_aim(self.objective, target, images, labels)
        return Climb(1, threat.epsilon)(target, aim, images, images, labels, threat)


def cw20(step_size: float | None = None) -> PGD:
    """CW-20 of the papers on adversarial training: 20 steps of PGD on the margin, from the clean image."""
    return PGD("margin", steps=20, step_size=step_size)


def climb_with_restarts(
    climb: Climb,
    target: Target,
    aim: Aim,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    generator: torch.Generator,
    restarts: int,
    random_start: bool,
) -> Tensor:
    """Climbs from the clean images or a random place, later ones from random places and on what still stands."""

    def attempt(rows: Tensor, random: bool) -> Tensor:
        every = len(rows) == len(images)
        origin, theirs, own = (images, labels, aim) if every else (images[rows], labels[rows], aim.rows(rows))
        start = threat.random_start(origin, generator) if random else origin
        return climb(target, own, start, origin, theirs, threat)

    starts = [random_start or number > 0 for number in range(restarts)]
    return attempt_in_turn(target, images, labels, [partial(attempt, random=random) for random in starts])
