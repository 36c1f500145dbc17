"""What the record of a student says of its teacher."""

from __future__ import annotations

from dataclasses import dataclass

from vsmooth.records.objective import ObjectiveRecord


@dataclass(frozen=True)
class TeacherRecord:
    """A teacher as a record names it.

    name: short, as in the table: "VS 0.3". origin: what was typed. objective: what it was trained with, where known.
    model: its network, "" for saved logits.
    """

    name: str
    origin: str
    fingerprint: str
    objective: ObjectiveRecord | None = None
    model: str = ""
