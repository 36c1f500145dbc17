"""One colour, marker and line per label, the same in every figure and safe for colour-blind readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsmooth.experiments.record import Group

# Okabe and Ito 2008: vermillion and blue differ for every common colour deficiency; one-hot is neutral.
BASE_COLOURS = {"one-hot": "#4d4d4d", "label-smoothing": "#d55e00", "virtual-smoothing": "#0072b2"}
MARKERS = {"one-hot": "o", "label-smoothing": "s", "virtual-smoothing": "D"}
LINES = ("-", "--", ":", "-.")
TEXT_COLOURS = {"one-hot": "#333333", "label-smoothing": "#a34700", "virtual-smoothing": "#005a8e"}
LIGHTEST = 0.4


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
    """A style per group: hue and marker by label scheme, darker for a larger alpha."""
    found = []
    for group in groups:
        alphas = sorted({other.alpha for other in groups if other.label == group.label}, reverse=True)
        rank = alphas.index(group.alpha)
        share = LIGHTEST * rank / max(len(alphas) - 1, 1)
        colour = mix_with_white(BASE_COLOURS.get(group.label, "#4d4d4d"), share)
        found.append(Style(colour, MARKERS.get(group.label, "o"), LINES[rank % len(LINES)],
                           TEXT_COLOURS.get(group.label, "#333333")))
    return tuple(found)
