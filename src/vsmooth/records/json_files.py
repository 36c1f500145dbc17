"""JSON files with a schema number, written atomically and read strictly, since they may be damaged or hostile."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from cattrs import Converter

from vsmooth.atomic import replacing
from vsmooth.records.serialisation import CONVERTER, from_plain, to_plain

SCHEMA = 3
T = TypeVar("T")
_AGAIN = "delete it and run again"
_LARGEST_FILE = 2**25  # bytes: a list of empty lists takes thirty times as much memory
_DIGITS = 20  # of a whole number; more are beyond 64 bits


@dataclass(frozen=True)
class RecordFile(Generic[T]):
    """A kind of file that holds one record: its `name` in a folder, the `kind` of the record, and the `remedy`.

    converter: `CONVERTER`, or one that knows texts of its own.
    """

    name: str
    kind: type[T]
    remedy: str = _AGAIN
    converter: Converter = CONVERTER

    def write(self, record: T, folder: str | Path) -> Path:
        """Writes `folder/name`."""
        return write_json(Path(folder) / self.name, to_plain(record, self.kind, self.converter))

    def read(self, folder: str | Path) -> T:
        """The record in `folder`; ValueError naming the file and, where it is another record, the field."""
        return self.read_file(Path(folder) / self.name)

    def find(self, folder: str | Path) -> T | None:
        """The record in `folder`, None if there is no such file; ValueError as `read`."""
        return self.read(folder) if (Path(folder) / self.name).exists() else None

    def read_file(self, path: Path) -> T:
        """The record at `path`, whatever its name; ValueError as `read`."""
        value = read_json(path, self.remedy)
        try:
            return from_plain(self.kind, value, self.converter)
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}; {self.remedy}") from None


def write_json(path: str | Path, value: Mapping[str, Any]) -> Path:
    """Writes an object with its schema number, whole or not at all; records in it become plain, as by `to_plain`."""
    path = Path(path)
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as stream:
        json.dump({"schema": SCHEMA, **to_plain(value)}, stream, indent=1, allow_nan=False)
    return path


def read_json(path: str | Path, remedy: str = _AGAIN) -> dict[str, Any]:
    """The object that `write_json` wrote, as plain values; ValueError for a missing, damaged or foreign file.

    A number that is none of 64 bits stays in it as an object of its own, so that whoever reads the field can name it.
    """
    path = Path(path)
    if not path.is_file():
        what = f"{path} is not a file" if path.exists() else f"no file at {path}"
        raise ValueError(what)
    try:
        if (size := path.stat().st_size) > _LARGEST_FILE:
            raise ValueError(f"it has {size:,} bytes, a record at most {_LARGEST_FILE:,}")
        value = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); {remedy}") from None
    _check_schema(path, value, remedy)
    return {name: item for name, item in value.items() if name != "schema"}


def parse_json(text: str) -> Any:
    """Plain values; ValueError for text that is no JSON. A number that is none of 64 bits becomes an object."""
    try:
        return json.loads(text, parse_float=_float, parse_int=_int, parse_constant=_NoNumber)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _check_schema(path: Path, value: Any, remedy: str) -> None:
    if not isinstance(value, dict) or not value.keys() & {"schema", "format"}:
        raise ValueError(f"{path} was not written by vsmooth: it has no schema number")
    found = value.get("schema")
    if "schema" not in value:
        raise ValueError(f"{path} is of an earlier vsmooth, without a schema number; this one reads {SCHEMA}; {remedy}")
    if type(found) is not int or found != SCHEMA:
        newer = type(found) is int and found > SCHEMA
        raise ValueError(
            f"{path} has schema {found!r:.40}, this vsmooth reads {SCHEMA}; {'upgrade vsmooth' if newer else remedy}"
        )


class _NoNumber:
    """An entry of a file that is written as a number but is not valid: 1e999, NaN, or hundreds of digits."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text if len(self._text) <= 40 else f"{self._text[:20]}... of {len(self._text)} digits"


def _float(text: str) -> float | _NoNumber:
    return value if math.isfinite(value := float(text)) else _NoNumber(text)


def _int(text: str) -> int | _NoNumber:
    return int(text) if len(text) <= _DIGITS else _NoNumber(text)
