"""The command line: ``vsmooth train | compare | distill | evaluate | calibrate | inspect | attack | report | ...``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; one line if the packages of the lab are not installed."""
    try:
        with _interruptible():
            if list(sys.argv[1:] if arguments is None else arguments) == ["--version"]:
                return _print_version()
            from vsmooth.cli import commands
    except ModuleNotFoundError as error:
        if (error.name or "vsmooth").partition(".")[0] == "vsmooth":
            raise
        print(f'vsmooth: the command line needs {error.name}: pip install "vsmooth[lab]"', file=sys.stderr)
        return 2
    return commands.main(arguments)


def _print_version() -> int:
    from vsmooth.cli.terminal import printable
    from vsmooth.experiments.environment import version_line

    with printable():
        print(version_line())
    return 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the program at once, with one line: there is nothing to save yet.

    An exception would not do: libraries that are half imported turn it into errors of their own, or swallow it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only
        return
    before = signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(number: int, frame: FrameType | None) -> None:
    os.write(2, b"vsmooth: stopped before anything began\n")
    os._exit(128 + number)
