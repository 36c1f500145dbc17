"""Experiments: specs, runs, comparisons, and their records. ``load_run`` opens a trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsmooth.experiments.run import load_run

__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    """``load_run`` is imported on first use: who reads a record should not wait for the training code."""
    if name != "load_run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vsmooth.experiments.run import load_run

    return load_run
