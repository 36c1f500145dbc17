"""Attack of an adversary who knows that the model has virtual classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vsmooth.attacks.base import Attack
from vsmooth.attacks.climb import Climb, Rule, attempt_in_turn, check_count
from vsmooth.attacks.objectives import AdaptiveMargin, make_aim
from vsmooth.attacks.pgd import climb_with_restarts
from vsmooth.attacks.target import Target
from vsmooth.attacks.threat import ThreatModel


@dataclass(frozen=True)
class LambdaSweep(Attack):
    """PGD on the :class:`AdaptiveMargin` for each lambda in turn, on the samples that still stand.

    It needs all K + V logits (view "all"); success is judged on the real ones. steps, step_size and rule as
    :class:`Climb` has them, for each lambda; restarts and random_start as :class:`PGD` has them.
    Errors: ValueError for no lambda or a negative one, a setting out of range, logits without virtual ones.
    Limits: lambdas (0,) is PGD on the real margin that keeps the best.
    """

    lambdas: tuple[float, ...] = (0, 0.25, 0.5, 1, 2, 4)
    steps: int = 20
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = False
    rule: Rule = "constant"

    def __post_init__(self) -> None:
        if not self.lambdas:
            raise ValueError("lambdas must name at least one weight of the virtual logit, such as (0, 1)")
        self._objectives()
        check_count(self.restarts, "restarts")
        self._climb()

    @property
    def name(self) -> str:
        """lambda sweep-20."""
        return f"lambda sweep-{self.steps}" + (f" x{self.restarts}" if self.restarts > 1 else "")

    def _objectives(self) -> list[AdaptiveMargin]:
        return [AdaptiveMargin(lam) for lam in self.lambdas]

    def _climb(self) -> Climb:
        return Climb(self.steps, self.step_size, self.rule, "best")

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        def attempt(rows: Tensor, objective: AdaptiveMargin) -> Tensor:
            origin, theirs = images[rows], labels[rows]
            aim = make_aim(objective, target, origin, theirs)
            return climb_with_restarts(
                self._climb(), target, aim, origin, theirs, threat, generator, self.restarts, self.random_start
            )

        attempts = [partial(attempt, objective=objective) for objective in self._objectives()]
        return attempt_in_turn(target, images, labels, attempts)
