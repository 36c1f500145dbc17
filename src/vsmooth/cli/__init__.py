"""The command line: ``vsmooth train | compare | evaluate | report``."""

from vsmooth.cli.main import main

__all__ = ["main"]
