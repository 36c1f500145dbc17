"""Stateless randomness: a seed for each purpose and key."""

from __future__ import annotations

import hashlib


def seed_of(purpose: str, *key: int) -> int:
    """A seed that depends only on the purpose and the key; hashed, so that similar keys give unrelated seeds."""
    digest = hashlib.blake2b(repr((purpose, *key)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
