"""The command line: ``vsmooth train | compare | distill | evaluate | calibrate | inspect | attack | report | ...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; one line if the packages of the lab are not installed."""
    try:
        from vsmooth.cli import commands
    except ModuleNotFoundError as error:
        if (error.name or "vsmooth").partition(".")[0] == "vsmooth":
            raise
        print(f'vsmooth: the command line needs {error.name}: pip install "vsmooth[lab]"', file=sys.stderr)
        return 2
    return commands.main(arguments)
