"""What the numbers and words of an experiment may be; each value checks its own and says why it takes no larger ones.

The bounds are far above what is of use: they refuse what would exhaust memory, overflow or never end.
"""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral

LARGEST_SEED = 2**32 - 1
MOST_EPOCHS = 1_000_000
MOST_BATCH = 1_000_000


def check_count(name: str, value: int, least: int, most: int, why: str) -> None:
    """``ValueError`` unless ``value`` is a whole number from ``least`` to ``most``; ``why``: what more would do."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    check_most(name, value, most, why)


def check_one_of(name: str, word: object, allowed: Collection[str]) -> None:
    """``ValueError`` unless ``word`` is one of ``allowed``."""
    if word not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {word!r}")


def check_most(name: str, value: float, most: int, why: str) -> None:
    """``ValueError`` for more than ``most``, infinity and NaN."""
    if not value <= most:
        raise ValueError(f"{name} must be at most {most:,}, got {value}: {why}")


def check_seed(seed: int, name: str = "seed") -> None:
    """``ValueError`` for a seed that not every generator takes."""
    if not isinstance(seed, bool) and isinstance(seed, Integral) and seed < 0:
        raise ValueError(f"{name} must not be negative, got {seed}")
    check_count(name, seed, 0, LARGEST_SEED, "numpy's generators take seeds of 32 bits")


def check_batch_size(size: int) -> None:
    """``ValueError`` for a batch that fits no memory."""
    check_count("batch_size", size, 1, MOST_BATCH, "so many images at once fit no memory")
