"""From the command line to an exit status; every foreseeable error is one line that says what to do."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from vsmooth.cli.display import say
from vsmooth.cli.parsing import parse
from vsmooth.cli.terminal import printable, say_error
from vsmooth.train import CheckpointError, Interrupted, TrainingDivergedError, disconnect, terminable

_EXPECTED = (ValueError, OSError, CheckpointError, TrainingDivergedError, ModuleNotFoundError)
_INSTALL = '; it comes with pip install "vsmooth[lab]"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, 2 for a mistake that the message explains, 128 + n after signal n."""
    with printable():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    typed = shlex.join(["vsmooth", *(sys.argv[1:] if arguments is None else arguments)])
    console = Console(quiet=_rank("RANK") > 0)  # of several processes only one speaks
    terminated: list[int] = []
    try:
        with terminable() as terminated:
            _check_ranks()
            command = parse(arguments, quiet=console.quiet)
            command.run(console, typed)
    except Interrupted as stop:
        say(console, str(stop), style="yellow")
        return 128 + stop.signal_number
    except KeyboardInterrupt as stop:
        say(console, str(stop) or "stopped", style="yellow")
        return 128 + (terminated[0] if terminated else signal.SIGINT)
    except _EXPECTED as error:
        missing = isinstance(error, ModuleNotFoundError) and "pip install" not in str(error)
        if _rank("LOCAL_RANK") == 0:  # one of each machine: a mistake may be one machine's alone
            say_error(f"{error}{_INSTALL if missing else ''}")
        return 2
    finally:
        disconnect()
    return 0


def _rank(variable: str) -> int:
    """What ``torchrun`` and ``accelerate launch`` tell each process; 0 for a process of its own, and for no number."""
    text = os.environ.get(variable, "0")
    return int(text) if text.isdecimal() else 0


def _check_ranks() -> None:
    for variable in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"):
        if not os.environ.get(variable, "0").isdecimal():
            raise ValueError(
                f"the environment has {variable}={os.environ[variable]!r}, where torchrun and accelerate launch set a "
                "whole number: start with one of them, or unset it"
            )
