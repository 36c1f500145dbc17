"""One colour, marker and line per label, the same in every figure and safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsmooth.records.comparison import Group

# Okabe and Ito 2008: vermillion and blue differ for every common colour deficiency; one-hot is neutral. Students have
# the look of their teacher's label; green is a teacher of which no label is known.
PLAIN, UNKNOWN = "plain", ""
BASE_COLOURS = {"one-hot": "#4d4d4d", "label-smoothing": "#d55e00", "virtual-smoothing": "#0072b2"}
BASE_COLOURS |= {PLAIN: "#9a9a9a", UNKNOWN: "#009e73"}
MARKERS = {"one-hot": "o", "label-smoothing": "s", "virtual-smoothing": "D", PLAIN: "^", UNKNOWN: "v"}
LINES = ("-", "--", ":", "-.")
TEXT_COLOURS = {"one-hot": "#333333", "label-smoothing": "#a34700", "virtual-smoothing": "#005a8e"}
TEXT_COLOURS |= {PLAIN: "#5e5e5e", UNKNOWN: "#00674b"}
LIGHTEST = 0.4
# Other kinds of objectives take a colour, its dark twin for text and a marker in turn, in order of appearance.
FURTHER = (("#cc79a7", "#8f3d6c"), ("#e69f00", "#8a5f00"), ("#56b4e9", "#1f6a97"))
FURTHER_MARKERS = ("P", "X", "<", ">", "p", "h", "*")


@dataclass(frozen=True)
class Style:
    """How one label is drawn; `text` is dark enough to read on white."""

    colour: str
    marker: str
    line: str
    text: str = "#333333"


def mix_with_white(colour: str, share: float) -> str:
    """The hex colour moved towards white by `share` in [0, 1]."""
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(c + (255 - c) * share):02x}" for c in channels)


def styles(groups: Sequence[Group]) -> tuple[Style, ...]:
    """A style per group: hue and marker by label scheme (the teacher's, of students), darker for a larger alpha."""
    found = []
    further = list(dict.fromkeys(kind for kind, _ in map(_label_of, groups) if kind not in BASE_COLOURS))
    # The place tells apart groups of one scheme and alpha: two teachers, or two numbers of virtual classes.
    keys = [(*_label_of(group), place) for place, group in enumerate(groups)]
    for label, alpha, place in keys:
        kin = sorted((-other, where) for name, other, where in keys if name == label)
        rank = kin.index((-alpha, place))
        share = LIGHTEST * rank / max(len(kin) - 1, 1)
        colour, text, marker = _look(label, further)
        found.append(Style(mix_with_white(colour, share), marker, LINES[rank % len(LINES)], text))
    return tuple(found)


def _look(label: str, further: Sequence[str]) -> tuple[str, str, str]:
    """Colour, colour of text and marker of a kind of label."""
    if label in BASE_COLOURS:
        return BASE_COLOURS[label], TEXT_COLOURS[label], MARKERS[label]
    place = further.index(label)
    return *FURTHER[place % len(FURTHER)], FURTHER_MARKERS[place % len(FURTHER_MARKERS)]


def _label_of(group: Group) -> tuple[str, float]:
    if group.plain:
        return PLAIN, 0.0
    objective = group.variant.objective if group.teacher is None else group.teacher.objective
    return (UNKNOWN, 0.0) if objective is None else (objective.kind, objective.parameter or 0.0)
