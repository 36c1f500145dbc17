"""Every class of the library that is below another, so that a new one cannot be forgotten."""

from __future__ import annotations

import importlib
import pkgutil
from inspect import isabstract
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def found_below(base: type[T], package: ModuleType) -> set[type[T]]:
    """The concrete subclasses of `base` that vsmooth has, once all modules of `package` are imported."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)

    def below(kind: type[T]) -> set[type[T]]:
        return {found for child in kind.__subclasses__() for found in {child, *below(child)}}

    return {kind for kind in below(base) if kind.__module__.startswith("vsmooth.") and not isabstract(kind)}
