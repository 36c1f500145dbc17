"""Where and with what runs were trained: the facts that all of them share, and those in which they differ."""

from __future__ import annotations

from collections.abc import Sequence

from vsmooth.records.run import RunRecord

UNKNOWN = "not recorded"
_DATE = "date"


def environment_of(run: RunRecord) -> dict[str, str]:
    """The facts of a run over its sittings: "1", or "1, then 2" where it was resumed with another value."""
    names = dict.fromkeys(name for sitting in run.environments for name in sitting)
    return {
        name: ", then ".join(_changes([sitting.get(name, UNKNOWN) for sitting in run.environments]))
        for name in names
        if name != _DATE
    }


def shared_environment(runs: Sequence[RunRecord]) -> dict[str, str]:
    """The facts that are the same in every run, and the dates between which sittings began."""
    environments = [environment_of(run) for run in runs]
    facts = environments[0].items() if environments else ()
    shared = {name: value for name, value in facts if all(other.get(name) == value for other in environments)}
    dates = sorted(sitting[_DATE] for run in runs for sitting in run.environments if _DATE in sitting)
    return shared | ({_DATE: " to ".join(_changes([dates[0], dates[-1]]))} if dates else {})


def differing_environments(runs: Sequence[RunRecord]) -> dict[str, dict[str, tuple[RunRecord, ...]]]:
    """By fact and value, the runs that have it; facts that all runs share are left out."""
    environments = [environment_of(run) for run in runs]
    found: dict[str, dict[str, tuple[RunRecord, ...]]] = {}
    for name in dict.fromkeys(name for environment in environments for name in environment):
        values: dict[str, tuple[RunRecord, ...]] = {}
        for run, environment in zip(runs, environments, strict=True):
            value = environment.get(name, UNKNOWN)
            values[value] = (*values.get(value, ()), run)
        if len(values) > 1:
            found[name] = values
    return found


def _changes(values: Sequence[str]) -> list[str]:
    """Without those that repeat the one before."""
    return [value for index, value in enumerate(values) if index == 0 or value != values[index - 1]]
