"""One search towards each wrong class, which finds what a single, changing "best wrong class" can miss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vsmooth.attacks.base import Attack
from vsmooth.attacks.climb import Climb, Rule, attempt_in_turn, check_count
from vsmooth.attacks.objectives import make_targeted_aim
from vsmooth.attacks.target import Target
from vsmooth.attacks.threat import ThreatModel


@dataclass(frozen=True)
class MultiTargetPGD(Attack):
    """PGD on ``z_t - z_y`` of the real logits for one wrong class t after another, the most likely one first.

    steps, step_size and rule as :class:`Climb` has them, for each class and restart; a sample leaves once it is fooled.
    restarts: rounds through the classes. random_start: whether the first starts at random too; later ones always do.
    targets: how many classes, ordered by the clean logits; ``None`` is all K - 1, and more than that is the same.

    Errors: ValueError for a setting out of range. Limits: with K = 2 it is PGD on the margin that keeps the best.
    Source: Gowal et al., "An Alternative Surrogate Loss for PGD-based Adversarial Testing" (2019).
    """

    steps: int = 50
    step_size: float | None = None
    restarts: int = 1
    targets: int | None = None
    random_start: bool = False
    rule: Rule = "cosine"

    def __post_init__(self) -> None:
        check_count(self.restarts, "restarts")
        if self.targets is not None:
            check_count(self.targets, "targets")
        self._climb()

    @property
    def name(self) -> str:
        """MT-50; x5 for five restarts."""
        return f"MT-{self.steps}" + (f" x{self.restarts}" if self.restarts > 1 else "")

    def _climb(self) -> Climb:
        return Climb(self.steps, self.step_size, self.rule, "best")

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        order = _wrong_classes(target, images, labels)
        climb = self._climb()

        def attempt(rows: Tensor, rank: int, random: bool) -> Tensor:
            origin, theirs = images[rows], labels[rows]
            start = threat.random_start(origin, generator) if random else origin
            aim = make_targeted_aim(target, theirs, order[rows, rank])
            return climb(target, aim, start, origin, theirs, threat)

        count = min(self.targets or order.shape[1], order.shape[1])
        rounds = [self.random_start or number > 0 for number in range(self.restarts)]
        attempts = [partial(attempt, rank=rank, random=random) for random in rounds for rank in range(count)]
        return attempt_in_turn(target, images, labels, attempts)


def _wrong_classes(target: Target, images: Tensor, labels: Tensor) -> Tensor:
    """(N, K - 1) class indices, the largest clean logit first, without the label."""
    with torch.no_grad():
        real = target.real(target.craft(images)).float()
    order = real.scatter(1, labels[:, None], math.inf).argsort(stable=True, dim=1, descending=True)
    return order[:, 1:]
