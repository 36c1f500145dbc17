"""Objectives by name: ``one-hot``, ``ls:0.1``, ``vs:0.3``, ``vs:0.3:20``, ``focal:2``, ``vs:auto``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vsmooth.labels import LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses.objective import LabelObjective, Objective
from vsmooth.losses.rivals import (
    CollapsedVirtualSmoothing,
    ConfidencePenalty,
    DummyClasses,
    Flsd53,
    Focal,
    FrozenVirtualSmoothing,
    LogitNorm,
    MarginSmoothing,
    MaxSup,
    NormalisedVirtualSmoothing,
    Poly,
    ScaledCrossEntropy,
    ZLoss,
)

AUTO = "auto"


@dataclass(frozen=True)
class Entry:
    """A name that can be typed, and the objective that the values after it make.

    values: name and type of each; the last ``optional`` of them may be left out. stand_in: stands for the first value
    while that is left to choose; where it is 0, the objective with 0 is cross entropy over all its logits.
    """

    make: Callable[..., Objective]
    values: tuple[tuple[str, type[float] | type[int]], ...] = ()
    optional: int = 0
    stand_in: float | int = 0.0

    def template(self, *rest: float | int) -> Objective:
        """The objective whose first value is yet to be chosen."""
        return self.make(*((self.stand_in,) if self.values else ()), *rest)


def _labels(scheme: type[OneHot | LabelSmoothing | VirtualSmoothing]) -> Callable[..., Objective]:
    return lambda *values: LabelObjective(scheme(*values))


ALPHA, BETA, VIRTUAL = ("ALPHA", float), ("BETA", float), ("V", int)
# A rival loss is one line here.
CATALOGUE: Mapping[str, Entry] = {
    "one-hot": Entry(_labels(OneHot)),
    "ls": Entry(_labels(LabelSmoothing), (ALPHA,)),
    "vs": Entry(_labels(VirtualSmoothing), (ALPHA, VIRTUAL), optional=1),
    "vs-collapsed": Entry(CollapsedVirtualSmoothing, (ALPHA, VIRTUAL), optional=1),
    "scaled": Entry(ScaledCrossEntropy, (ALPHA,)),
    "vs-normalised": Entry(NormalisedVirtualSmoothing, (ALPHA,)),
    "vs-frozen": Entry(FrozenVirtualSmoothing, (ALPHA,), stand_in=0.1),
    "dummy": Entry(DummyClasses, (VIRTUAL,), stand_in=1),
    "z-loss": Entry(ZLoss, (BETA,)),
    "focal": Entry(Focal, (("GAMMA", float),)),
    "flsd-53": Entry(Flsd53),
    "logit-norm": Entry(LogitNorm, (("TAU", float),), stand_in=1.0),
    "max-sup": Entry(MaxSup, (ALPHA,)),
    "mbls": Entry(MarginSmoothing, (("M", float), ("WEIGHT", float)), optional=1, stand_in=10.0),
    "confidence-penalty": Entry(ConfidencePenalty, (BETA,)),
    "poly": Entry(Poly, (("EPS", float),)),
}
_ALIASES = {"onehot": "one-hot", "label-smoothing": "ls", "virtual-smoothing": "vs"}


def form_of(name: str) -> str:
    """How an objective is typed: "vs:ALPHA or vs:ALPHA:V"."""
    entry = CATALOGUE[name]
    words = (name, *(value for value, _ in entry.values))
    return " or ".join(":".join(words[: len(words) - left_out]) for left_out in range(entry.optional, -1, -1))


FORMS = ", ".join(form_of(name) for name in CATALOGUE)


@dataclass(frozen=True)
class Candidates:
    """An objective whose parameter is chosen on the validation split, from ``grid`` (default: the usual values)."""

    template: Objective
    grid: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid", self.grid or self.template.usual)

    @property
    def text(self) -> str:
        """As it is typed: "vs:auto"."""
        name, _, *rest = self.template.text.split(":")
        return ":".join((name, AUTO, *rest))

    def objectives(self) -> tuple[Objective, ...]:
        """The objective with each value of the grid."""
        return tuple(self.template.with_parameter(value) for value in self.grid)


def parse_objective(text: str) -> Objective:
    """The objective that ``text`` names.

    Raises:
        ValueError: an unknown name (with the nearest one), a missing or impossible value, or ``auto``.
    """
    found = parse_candidates(text)
    if isinstance(found, Candidates):
        raise ValueError(f"{text!r} asks for a choice on validation data, which `vsmooth compare` makes: give a number")
    return found


def parse_candidates(text: str) -> Objective | Candidates:
    """:func:`parse_objective`, or the candidates where the parameter is ``auto``."""
    word, *values = text.strip().lower().split(":")
    name = _ALIASES.get(word, word)
    if name not in CATALOGUE:
        near = difflib.get_close_matches(word, [*CATALOGUE, *_ALIASES], n=1, cutoff=0.4)
        hint = f"did you mean {_ALIASES.get(near[0], near[0])}? " if near else ""
        raise ValueError(f"unknown label {text!r}; {hint}labels are {FORMS}")
    entry = CATALOGUE[name]
    if values and not entry.values:
        raise ValueError(f"{name} takes no value, got {text!r}")
    if not len(entry.values) - entry.optional <= len(values) <= len(entry.values):
        raise ValueError(f"cannot read label {text!r}; labels of this name are {form_of(name)}")
    chosen = AUTO in values[:1]
    typed = zip(values[chosen:], entry.values[chosen:], strict=False)
    numbers = [_number(value, *kind, name, text) for value, kind in typed]
    return Candidates(entry.template(*numbers)) if chosen else entry.make(*numbers)


def _number(value: str, what: str, kind: type[float] | type[int], name: str, text: str) -> float | int:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{what} in label {text!r} is not a number; labels of this name are {form_of(name)}") from None
