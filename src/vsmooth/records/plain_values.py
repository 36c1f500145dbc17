"""Single JSON values, read strictly: nothing is coerced, and an error says what was expected and what was found."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor

T = TypeVar("T")
_LONGEST = 300  # of what a value says of itself
_LARGEST = 2**63  # whole numbers beyond it are no counts or seeds
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict, _BRIEF.maxstring = 2, 3, 3, 40


class FieldError(ValueError):
    """A value that does not fit its field; `path` leads to it: `history[3].loss`."""

    def __init__(self, problem: str, path: str = "") -> None:
        place = path.removeprefix(".")
        super().__init__(f"{place}: {problem}" if place else problem)
        self.problem, self.path = problem, path

    def below(self, step: str) -> FieldError:
        """The same error with the path from the enclosing value."""
        return FieldError(self.problem, step + self.path)


def brief(value: Any) -> str:
    """A value on one short line, whatever it is."""
    return "null" if value is None else _BRIEF.repr(value)


def expected(what: str, value: Any) -> FieldError:
    """The error for a `value` that is something else."""
    return FieldError(f"expected {what}, got {brief(value)}")


def step_to(key: str) -> str:
    """The step of a path that leads to what an object has under `key`."""
    return f".{key}" if key.isidentifier() and len(key) <= _BRIEF.maxstring else f"[{brief(key)}]"


def at(step: str, read: Callable[..., T], *values: Any) -> T:
    """`read(*values)`, whose errors get the `step` that leads to the value."""
    try:
        return read(*values)
    except FieldError as error:
        raise error.below(step) from None


def each(items: list[Any], read: Callable[[Any], T]) -> list[T]:
    """`read` of each item; the first error ends it: a million wrong values would else make a million errors."""
    return [at(f"[{place}]", read, item) for place, item in enumerate(items)]


def build(make: Callable[..., T], *values: Any, **named: Any) -> T:
    """`make(...)`, whose own objections become a FieldError."""
    try:
        return make(*values, **named)
    except (ValueError, TypeError, ArithmeticError) as error:
        told = str(error)  # it may repeat a value of any length
        raise FieldError(told if len(told) <= _LONGEST else f"{told[:_LONGEST]}...") from None


def read_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise expected("a list", value)
    return value


def read_object(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise expected("an object", value)
    return value


def read_bool(value: Any, _: Any = None) -> bool:
    if not isinstance(value, bool):
        raise expected("true or false", value)
    return value


def read_int(value: Any, _: Any = None) -> int:
    if type(value) is not int or not -_LARGEST <= value < _LARGEST:
        raise expected("a whole number", value)
    return value


def read_float(value: Any, _: Any = None) -> float:
    """NaN of null; a whole number is a float too."""
    if value is None:
        return math.nan
    if type(value) is int:
        return float(read_int(value))
    if not isinstance(value, float) or not math.isfinite(value):
        raise expected("a number", value)
    return value


def read_text(value: Any, _: Any = None) -> str:
    """Text that can be written as UTF-8, which lone surrogates cannot."""
    if not isinstance(value, str):
        raise expected("text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise expected("Unicode text", value) from None
    return value


def read_literal(value: Any, kind: Any) -> Any:
    choices = get_args(kind)
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise expected(" or ".join(map(repr, choices)), value)
    return value


def read_tensor(value: Any, _: Any = None) -> Tensor:
    """One dimension: int64 of whole numbers, else float64."""
    items = read_list(value)
    if items and all(type(item) is int for item in items):
        return torch.tensor(each(items, read_int), dtype=torch.int64)
    return torch.tensor(each(items, read_float), dtype=torch.float64)


def read_any(value: Any, _: Any = None) -> Any:
    """A field that holds whatever JSON does, such as the settings of an attack."""
    if isinstance(value, dict):
        return {read_text(key): at(step_to(key), read_any, item) for key, item in value.items()}
    if isinstance(value, list):
        return each(value, read_any)
    if isinstance(value, str):
        return read_text(value)
    if value is None or isinstance(value, bool):
        return value
    return read_int(value) if isinstance(value, int) else read_float(value)
