"""`vsmooth labels`: the labels and objectives that can be typed."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vsmooth.cli.display import say
from vsmooth.cli.verb import Verb
from vsmooth.losses import CATALOGUE, form_of
from vsmooth.losses.catalogue import AUTO, Entry

_HEAD = (
    "Labels and other objectives, for --label and --labels: formula, purpose, cost beside cross entropy, source.",
    "z are the logits, p = softmax(z), y is the true class, CE = -log p_y; K real and V virtual classes.",
)


@dataclass(frozen=True)
class Labels(Verb):
    """List the labels and other objectives: formula, purpose, cost, source, and the values that auto tries.

    Example: vsmooth labels
    """

    def run(self, console: Console, typed: str) -> None:
        for line in _HEAD:
            say(console, line)
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        for name, entry in CATALOGUE.items():
            table.add_row(Text(form_of(name)), Text(_describe(entry)))
        console.print(table)


def _describe(entry: Entry) -> str:
    template = entry.template()
    about = template.about
    lines = [about.formula, about.purpose, f"cost: {about.cost}; source: {about.source}"]
    if entry.values:
        lines.append(f"{AUTO}: {', '.join(f'{value:g}' for value in template.usual)}")
    return "\n".join(lines)
