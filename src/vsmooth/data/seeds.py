"""Randomness without state: a seed for every purpose and place."""

from __future__ import annotations

import hashlib


def seed_of(purpose: str, *key: int) -> int:
    """A seed that depends on the purpose and the key alone; hashed, so that near keys share nothing."""
    digest = hashlib.blake2b(repr((purpose, *key)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
