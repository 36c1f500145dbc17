"""Labels as typed on a command line: ``one-hot``, ``ls:0.1``, ``vs:0.3``, ``vs:0.3:20``, ``vs:auto``."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing

ALPHA_GRID = (0.05, 0.1, 0.3, 0.5)
_KINDS: dict[str, type[LabelScheme]] = {
    "one-hot": OneHot,
    "onehot": OneHot,
    "ls": LabelSmoothing,
    "label-smoothing": LabelSmoothing,
    "vs": VirtualSmoothing,
    "virtual-smoothing": VirtualSmoothing,
}
_FORMS = "one-hot, ls:ALPHA, vs:ALPHA, vs:ALPHA:V, ls:auto or vs:auto"


@dataclass(frozen=True)
class AutoAlpha:
    """A scheme whose alpha is to be chosen on the validation split, from ``grid``."""

    scheme: LabelScheme
    grid: tuple[float, ...] = ALPHA_GRID

    def candidates(self) -> tuple[LabelScheme, ...]:
        """The scheme with each alpha of the grid."""
        return tuple(replace(self.scheme, alpha=alpha) for alpha in self.grid)


def parse_label(text: str) -> LabelScheme | AutoAlpha:
    """The label scheme that ``text`` names.

    Raises:
        ValueError: an unknown name (with the nearest one), a missing or impossible alpha or V.
    """
    kind, *values = text.strip().lower().split(":")
    scheme = _KINDS.get(kind)
    if scheme is None:
        near = difflib.get_close_matches(kind, [name for name in _KINDS if name != "onehot"], n=1, cutoff=0.4)
        raise ValueError(f"unknown label {text!r}; {f'did you mean {near[0]}? ' if near else ''}labels are {_FORMS}")
    if scheme is OneHot:
        if values:
            raise ValueError(f"one-hot takes no alpha, got {text!r}")
        return OneHot()
    if not values or len(values) > (2 if scheme is VirtualSmoothing else 1):
        raise ValueError(f"cannot read label {text!r}; labels are {_FORMS}")
    virtual = {"num_virtual": _number(int, values[1], text)} if len(values) == 2 else {}
    if values[0] == "auto":
        return AutoAlpha(scheme(**virtual))
    return scheme(_number(float, values[0], text), **virtual)


def label_text(scheme: LabelScheme) -> str:
    """The text that :func:`parse_label` reads back.

    Raises:
        ValueError: virtual classes whose distribution is not uniform (fixed or redrawn), which the text cannot say.
    """
    if isinstance(scheme, OneHot):
        return scheme.name
    if isinstance(scheme, VirtualSmoothing) and scheme.distribution is not None:
        raise ValueError(
            "an experiment's label has no text for a distribution over the virtual classes, fixed or redrawn; use "
            "SmoothedCrossEntropy in your own training loop"
        )
    short = f"{scheme.alpha:g}"
    text = f"{scheme.short_name.lower()}:{short if float(short) == scheme.alpha else repr(float(scheme.alpha))}"
    count = scheme.num_virtual if isinstance(scheme, VirtualSmoothing) else None
    return text if count is None else f"{text}:{count}"


def _number(kind: type, value: str, text: str) -> float | int:
    try:
        number: float | int = kind(value)
    except ValueError:
        what = "alpha" if kind is float else "V"
        raise ValueError(f"{what} in label {text!r} is not a number; labels are {_FORMS}") from None
    return number
