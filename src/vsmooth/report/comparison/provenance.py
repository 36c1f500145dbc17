"""Differences between the environments of the runs, in words."""

from __future__ import annotations

from collections.abc import Sequence

from vsmooth.records.provenance import differing_environments
from vsmooth.records.run import RunRecord

_NAMED = 4  # more runs are counted


def differences_of_environment(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """One sentence for each fact in which runs differ; none where they were all trained alike."""
    return tuple(
        f"The runs differ in {name}: {'; '.join(f'{value} ({_named(having)})' for value, having in values.items())}."
        for name, values in differing_environments(runs).items()
    )


def _named(runs: Sequence[RunRecord]) -> str:
    if len(runs) > _NAMED:
        return f"{len(runs)} runs"
    return ", ".join(f"{run.name} seed {run.seed}" for run in runs)
