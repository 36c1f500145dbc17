"""The columns of the paper's tables, and the further ones that the headline needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from vsmooth.attacks import PGD, Attack, LambdaSweep, MultiTargetPGD, Objective, Target, ThreatModel, Transfer
from vsmooth.attacks.autoattack import AutoAttackMember, rand_autoattack, standard_autoattack
from vsmooth.bounds import check_count
from vsmooth.evaluate.robust.cascade import Column, On
from vsmooth.head import LogitSet
from vsmooth.records.robust import AA_REAL, LAMBDA_SWEEP, MULTI_TARGET

Family = Literal["pgd", "cw", "aa", "aa+", "multi-target", "lambda-sweep", "transfer"]
FAMILIES: tuple[Family, ...] = get_args(Family)
NEED_VIRTUAL: frozenset[Family] = frozenset({"aa+", "lambda-sweep"})
_AA, _AA_PLUS = "AA", "AA+"
_USUAL_TARGETS = 9  # of AutoAttack
_MOST_TRIES = 1_000_000
_MOST_CLASSES = 100  # for which every other class is a target


@dataclass(frozen=True)
class Budget:
    """How hard the attacks try; the defaults are those of the literature.

    steps, step_size, random_start: of PGD-20 and CW-20; a step is epsilon / 4 (.00784 at 8/255, the paper's) if not
    given. apgd_steps, queries: of AutoAttack. own_steps, restarts: of the multi-target, lambda and transfer attacks.
    lambdas: what the adaptive attack gives for the largest virtual logit.
    ValueError for steps, queries or restarts under 1, a step size that is not positive, and no lambda.
    """

    steps: int = 20
    step_size: float | None = None
    random_start: bool = False
    apgd_steps: int = 100
    queries: int = 5000
    own_steps: int = 50
    restarts: int = 2
    lambdas: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)

    def __post_init__(self) -> None:
        for name in ("steps", "apgd_steps", "queries", "own_steps", "restarts"):
            check_count(name, getattr(self, name), 1, _MOST_TRIES, "no attack ends that tries longer")
        if self.step_size is not None and not 0 < self.step_size < math.inf:
            raise ValueError(f"step_size must be positive, or None for epsilon / 4, got {self.step_size}")
        if not self.lambdas:
            raise ValueError("lambdas must name at least one number; 0 is the margin of the real logits")


@dataclass(frozen=True)
class Source:
    """A network that adversarial images are transferred from, and what tables call it."""

    target: Target
    name: str = "another model"


def paper_columns(
    num_classes: int,
    num_virtual: int,
    threat: ThreatModel,
    budget: Budget | None = None,
    *,
    families: Sequence[Family] = FAMILIES,
    on: On = "right",
    source: Source | None = None,
    randomised: bool = False,
) -> tuple[Column, ...]:
    """PGD-20, CW-20, AA and AA+ for each view, then on what stands: all targets, multi-target, lambda, transfer.

    The views "all", AA+ and the lambda sweep need V > 0, transfer a `source`: they are left out without. on: "standing"
    for the paper's columns too, which is cheaper and says the same of the headline.

    randomised: the model gives other logits each time it is asked; then AutoAttack's version for such models, too.
    ValueError for an unknown family, and where nothing is left to attack with.
    Source: the paper, Sec. 4.2 (PGD-20, CW-20, AA, AA+); the rest is for the K real logits, which alone decide.
    """
    budget = budget or Budget()
    if unknown := [family for family in families if family not in FAMILIES]:
        raise ValueError(f"unknown attack {unknown[0]!r}: choose from {', '.join(FAMILIES)}")
    columns = [
        Column(_in_view(name, view), view, attacks, on)
        for view in (("real", "all") if num_virtual else ("real",))
        for name, attacks in _table(view, num_classes, num_virtual, threat, budget, families)
    ]
    columns += _headline(num_classes, num_virtual, budget, families)
    if "aa" in families and randomised:
        columns.append(Column("AA rand", "real", _with_budget(rand_autoattack(num_classes), budget), "standing"))
    if "transfer" in families and source is not None:
        columns.append(Column("Transfer", "real", _transfers(source, budget), "standing"))
    if not columns:
        raise ValueError(f"nothing is left to attack with: {', '.join(families) or 'no attack'} does not apply here")
    return tuple(columns)


def _in_view(name: str, view: LogitSet) -> str:
    return f"{name} {view}"


def _table(
    view: LogitSet, num_classes: int, num_virtual: int, threat: ThreatModel, budget: Budget, families: Sequence[Family]
) -> list[tuple[str, tuple[Attack, ...]]]:
    step = budget.step_size if budget.step_size is not None or not threat.epsilon else threat.epsilon / 4
    pgd = PGD("ce", steps=budget.steps, step_size=step, random_start=budget.random_start, keep="best")
    found: list[tuple[str, tuple[Attack, ...]]] = []
    if "pgd" in families:
        found.append((f"PGD-{budget.steps}", (pgd,)))
    if "cw" in families:
        found.append((f"CW-{budget.steps}", (replace(pgd, objective="margin"),)))
    outputs = num_classes + (num_virtual if view == "all" else 0)
    if "aa" in families:
        found.append((_AA, autoattack(outputs, budget)))
    if "aa+" in families and view == "all":
        found.append((_AA_PLUS, autoattack(outputs, budget, targets=outputs - 1)))
    return found


def _headline(
    num_classes: int, num_virtual: int, budget: Budget, families: Sequence[Family]
) -> list[Column]:
    columns = []
    few = num_classes <= _MOST_CLASSES
    if "multi-target" in families:
        targets = None if few else 2 * _USUAL_TARGETS
        attack = MultiTargetPGD(steps=budget.own_steps, restarts=budget.restarts, targets=targets)
        columns.append(Column(MULTI_TARGET, "real", (attack,), "standing"))
    if "lambda-sweep" in families and num_virtual:
        sweep = LambdaSweep(lambdas=budget.lambdas, steps=budget.own_steps)
        columns.append(Column(LAMBDA_SWEEP, "all", (sweep,), "standing"))
    if "aa" in families and few and num_classes - 1 > _USUAL_TARGETS:
        attacks = autoattack(num_classes, budget, targets=num_classes - 1)
        columns.append(Column(f"{AA_REAL}, all targets", "real", attacks, "standing"))
    return columns


def _transfers(source: Source, budget: Budget) -> tuple[Attack, ...]:
    """Momentum, and to the end of the climb: images that fool more than the network they were made on."""
    objectives: tuple[Objective, ...] = "ce", "margin"
    climbs = (PGD(objective, steps=budget.own_steps, rule="momentum") for objective in objectives)
    return tuple(Transfer(source.target, climb, source.name) for climb in climbs)


def autoattack(num_outputs: int, budget: Budget, targets: int | None = None) -> tuple[Attack, ...]:
    """The members of the standard version on so many logits, with the steps and queries of the budget."""
    return _with_budget(standard_autoattack(num_outputs, targets), budget)


def _with_budget(members: tuple[AutoAttackMember, ...], budget: Budget) -> tuple[Attack, ...]:
    return tuple(replace(member, steps=budget.apgd_steps, queries=budget.queries) for member in members)
