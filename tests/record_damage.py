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
    "huge": "1e12",
    "overflow": "1e999",
    "NaN": "NaN",
    "400 digits": "1" + "0" * 400,
    "deep": "[" * 100_000 + "]" * 100_000,
    "empty list": "[]",
    "nested list": "[[1]]",
    "huge list": "[" + "0," * 100_000 + "0]",
    "object": "{}",
}
DELETED, EXTRA = "deleted", "extra"
# What these hold is named freely: one name stands for all.
OPEN = {
    "parts", "digests", "environment", "differences", "cka", "overlap", "settings", "scores", "sha256",
    "difference_from_baseline",
}
Steps = tuple[str | int, ...]


@dataclass(frozen=True)
class Damage:
    """What is done to the value at `path` of a file."""

    path: Steps
    kind: str

    @property
    def field(self) -> str:
        """Without places in lists and free names: "history[].loss", "metrics.*"."""
        words = []
        for above, step in zip((None, *self.path), self.path, strict=False):
            words.append("[]" if isinstance(step, int) else ".*" if above in OPEN else f".{step}")
        return "".join(words).removeprefix(".")

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


def damages(text: str) -> list[Damage]:
    """Every damage to every leaf and every container, once for each field."""
    found: dict[tuple[str, str], Damage] = {}
    for path, value in _walk(json.loads(text), ()):
        kinds = (*HOSTILE, DELETED, *((EXTRA,) if isinstance(value, dict) else ()))
        for damage in (Damage(path, kind) for kind in kinds):
            if path and path != ("schema",):
                found.setdefault((damage.field, damage.kind), damage)
    return list(found.values())


def _walk(value: Any, path: Steps) -> Iterator[tuple[Steps, Any]]:
    yield path, value
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
        if path and path[-1] in OPEN:
            items = items[:1]
    elif isinstance(value, list):
        items = list(enumerate(value))[-1:]
    for step, item in items:
        yield from _walk(item, (*path, step))
