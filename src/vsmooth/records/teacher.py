"""What the record of a student says of its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class TeacherRecord:
    """A teacher as a record names it.

    name: short, as in the table: "VS 0.3". origin: what was typed. label, alpha: what it was trained with, where known
    ("" and 0 if not). model: its network, "" for saved logits.
    """

    name: str
    origin: str
    fingerprint: str
    label: str = ""
    alpha: float = 0.0
    model: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TeacherRecord:
        """The teacher of a JSON object; ValueError names a field that is missing or unknown."""
        known = {field.name for field in fields(cls)}
        if known != value.keys():
            raise ValueError(f"its teacher has other fields: {', '.join(sorted(known ^ value.keys()))}")
        return cls(**{**value, "alpha": float(value["alpha"])})
