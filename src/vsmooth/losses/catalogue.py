"""Objectives by name: ``one-hot``, ``ls:0.1``, ``vs:0.3``, ``vs:0.3:20``, ``vs:auto``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vsmooth.labels import LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses.objective import LabelObjective, Objective

AUTO = "auto"


@dataclass(frozen=True)
class Entry:
    """A name that can be typed: its form as help shows it, and the objective that the values after it make.

    values: name and type of each; the last ``optional`` of them may be left out.
    """

    form: str
    make: Callable[..., Objective]
    values: tuple[tuple[str, type[float] | type[int]], ...] = ()
    optional: int = 0


def _labels(scheme: type[OneHot | LabelSmoothing | VirtualSmoothing]) -> Callable[..., Objective]:
    return lambda *values: LabelObjective(scheme(*values))


ALPHA, VIRTUAL = ("alpha", float), ("V", int)
# A rival loss is one line here.
CATALOGUE: Mapping[str, Entry] = {
    "one-hot": Entry("one-hot", _labels(OneHot)),
    "ls": Entry("ls:ALPHA", _labels(LabelSmoothing), (ALPHA,)),
    "vs": Entry("vs:ALPHA or vs:ALPHA:V", _labels(VirtualSmoothing), (ALPHA, VIRTUAL), optional=1),
}
_ALIASES = {"onehot": "one-hot", "label-smoothing": "ls", "virtual-smoothing": "vs"}
FORMS = ", ".join(entry.form for entry in CATALOGUE.values())


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
    name, *values = text.strip().lower().split(":")
    entry = CATALOGUE.get(_ALIASES.get(name, name))
    if entry is None:
        near = difflib.get_close_matches(name, [*CATALOGUE, *_ALIASES], n=1, cutoff=0.4)
        hint = f"did you mean {_ALIASES.get(near[0], near[0])}? " if near else ""
        raise ValueError(f"unknown label {text!r}; {hint}labels are {FORMS}")
    if values and not entry.values:
        raise ValueError(f"{name} takes no {ALPHA[0]}, got {text!r}")
    if not len(entry.values) - entry.optional <= len(values) <= len(entry.values):
        raise ValueError(f"cannot read label {text!r}; labels are {FORMS}")
    if AUTO not in values[:1]:
        return entry.make(*(_number(value, *kind, text) for value, kind in zip(values, entry.values, strict=False)))
    rest = [_number(value, *kind, text) for value, kind in zip(values[1:], entry.values[1:], strict=False)]
    return Candidates(entry.make(0.0, *rest))


def _number(value: str, name: str, kind: type[float] | type[int], text: str) -> float | int:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{name} in label {text!r} is not a number; labels are {FORMS}") from None
