"""One value of a JSON file replaced by something hostile, as raw text: every place, every kind of damage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HOSTILE = {
    "null": "null",
    "text": '"x"',
    "surrogate": '"\\udc80"',
    "true": "true",
    "negative": "-1",
    "overflow": "1e999",
    "NaN": "NaN",
    "400 digits": "1" + "0" * 400,
    "deep": "[" * 100_000 + "]" * 100_000,
    "empty list": "[]",
    "nested list": "[[1]]",
    "huge list": "[" + "0," * 200_000 + "0]",
    "object": "{}",
}
DELETED, EXTRA = "deleted", "extra"
Step = str | int


@dataclass(frozen=True)
class Damage:
    """What is done to the value at `path` of a file."""

    path: tuple[Step, ...]
    kind: str

    @property
    def field(self) -> str:
        """Its name without places in lists: "history[].loss"."""
        words = ("[]" if isinstance(step, int) else f".{step}" for step in self.path)
        return "".join(words).removeprefix(".")

    @property
    def outermost(self) -> str:
        return str(self.path[0])

    def done_to(self, text: str) -> str:
        """The text of the file with the damage."""
        whole = json.loads(text)
        *above, last = self.path
        holder = whole
        for step in above:
            holder = holder[step]
        if self.kind == DELETED:
            del holder[last]
        elif self.kind == EXTRA:
            holder[last]["an unknown field"] = 1
        else:
            holder[last] = "@@"
        return json.dumps(whole).replace('"@@"', HOSTILE.get(self.kind, ""))


def damages(text: str) -> Iterator[Damage]:
    """Every damage to every leaf and container; of a list its first and last item stand for all."""
    for path, value in _walk(json.loads(text), ()):
        if path:
            yield from (Damage(path, kind) for kind in (*HOSTILE, DELETED))
            if isinstance(value, dict):
                yield Damage(path, EXTRA)


def _walk(value: Any, path: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], Any]]:
    yield path, value
    items: list[tuple[Step, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = [(place, value[place]) for place in sorted({0, len(value) - 1}) if value]
    for step, item in items:
        yield from _walk(item, (*path, step))
