"""Optional packages, imported only when they are needed."""

from __future__ import annotations

import importlib
from typing import Any


def import_extra(module: str, purpose: str) -> Any:
    """Import a module of the `lab` extra. Errors: ModuleNotFoundError that says how to install it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ModuleNotFoundError(
            f"{purpose} needs {package}: pip install 'vsmooth[lab]'", name=package
        ) from error
