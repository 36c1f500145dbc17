"""Files of arrays (npz, safetensors) with one array replaced by something hostile, or damaged as a whole."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

Array = npt.NDArray[np.generic]
Arrays = dict[str, Array]


def _filled(values: Array, value: float) -> Array:
    """With one value replaced; whole numbers become floats where it is none."""
    found = values.copy() if np.isfinite(value) and float(value).is_integer() else values.astype(np.float32)
    with np.errstate(over="ignore"):
        found.reshape(-1)[-1:] = value
    return found


CHANGES: dict[str, Callable[[Array], Array]] = {
    "no rows": lambda values: values[:0],
    "a row less": lambda values: values[:-1],
    "one more axis": lambda values: values[None],
    "one number": lambda values: values.reshape(-1)[0].reshape(()),
    "float16": lambda values: values.astype(np.float16),
    "float64": lambda values: values.astype(np.float64),
    "int8": lambda values: values.astype(np.int8),
    "int64": lambda values: values.astype(np.int64),
    "bool": lambda values: values.astype(np.bool_),
    "NaN": lambda values: _filled(values, np.nan),
    "infinite": lambda values: _filled(values, np.inf),
    "negative": lambda values: _filled(values, -1),
    "huge": lambda values: _filled(values, 2**40 if values.dtype.kind == "i" else 2.0**100),
}
DELETED, EXTRA, TEXT = "deleted", "extra", "text"
ARRAY_KINDS = (*CHANGES, DELETED, TEXT)
_MANY = 12
_OF_ROWS = {"no rows", "a row less"}


@dataclass(frozen=True)
class ArrayDamage:
    """What is done to one array of a file; name "" for an array more."""

    name: str
    kind: str

    def done_to(self, arrays: Arrays) -> Arrays:
        if self.kind == EXTRA:
            return {**arrays, "an unknown array": np.zeros(1, np.float32)}
        if self.kind == DELETED:
            return {name: values for name, values in arrays.items() if name != self.name}
        if self.kind == TEXT:
            return {**arrays, self.name: np.full(arrays[self.name].shape, "x")}
        return {**arrays, self.name: CHANGES[self.kind](arrays[self.name])}


def array_damages(arrays: Arrays, texts: bool) -> list[ArrayDamage]:
    """Every damage to the arrays, of many alike to one of each shape; texts: the format can hold them."""
    found = [ArrayDamage("", EXTRA)]
    kinds_of_array = {(values.ndim, values.dtype): name for name, values in sorted(arrays.items(), reverse=True)}
    for name in arrays if len(arrays) < _MANY else kinds_of_array.values():
        values = arrays[name]
        kinds = (kind for kind in ARRAY_KINDS if (texts or kind != TEXT) and (values.ndim or kind not in _OF_ROWS))
        found += [ArrayDamage(name, kind) for kind in kinds]
    return found


def read_raw(path: Path) -> Arrays:
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return dict(archive)
    return dict(load_file(path))


def write_raw(path: Path, arrays: Arrays) -> None:
    if path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        save_file({name: np.array(values, order="C") for name, values in arrays.items()}, path)


def whole_files(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Contents that no reader of arrays may take."""
    yield "empty", b""
    yield "cut in half", content[: len(content) // 2]
    yield "cut at its end", content[:-1]
    yield "text", b"0.1, 0.9\n"
    yield "JSON", b"{}"
    yield "a pickle", pickle.dumps({"a": 1})
    yield "zeros", bytes(1000)
    yield "an archive without arrays", _archive("readme.txt", b"some text")
    yield "an archive of objects", _archive("logits.npy", _objects())
    for name, header in _HEADERS.items():
        yield f"a header of {name}", struct.pack("<Q", len(header)) + header + bytes(64)
    yield "a header longer than memory", struct.pack("<Q", 2**60) + b"{}"


_HEADERS = {
    "nothing": b"",
    "no JSON": b"{{{{",
    "nested lists": b"[" * 100_000 + b"]" * 100_000,
    "no objects": b'{"images": 3}',
    "an array beyond the file": json.dumps(
        {"images": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    ).encode(),
    "a negative shape": b'{"images": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}',
    "an unknown kind": b'{"images": {"dtype": "PY", "shape": [4], "data_offsets": [0, 16]}}',
}


def _archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}, None]), allow_pickle=True)
    return buffer.getvalue()
