"""The sittings of one training: its start and each time it was resumed."""

from __future__ import annotations

from collections.abc import Mapping

Environment = dict[str, str]
# What decides in which order, or by which code, floats are added; the other facts leave the bits alone.
_DECIDING = ("torch", "device", "processor", "processes", "threads")


def resumed_elsewhere(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """A sentence that names what differs and may change bits; None where nothing does."""
    changed = [
        f"{name} {now[name]} instead of {before[name]}"
        for name in _DECIDING
        if name in before and name in now and before[name] != now[name]
    ]
    if not changed:
        return None
    return (
        f"resumed with {', '.join(changed)}: the weights may differ in their last bits from those of an uninterrupted "
        "training"
    )
