"""A folder of parquet files in the Hugging Face image layout.

`train*.parquet` and `test*.parquet` (or `validation*`, `val*` where there is no test), in the folder or in
its `data/`; columns `image` (a struct of bytes and path, or plain bytes) and `label` (integers). Class names
come from `classes.json` (a list, or an object with "names"), else from the Hugging Face metadata in the
schema, else they are "0", "1", ... up to the largest label. A path without bytes is that of a file inside the folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vsmooth.data.extras import import_extra
from vsmooth.data.sources.assemble import Loading, assemble
from vsmooth.data.sources.roots import data_root
from vsmooth.data.sources.table import class_names, list_rows, list_table, pick_columns
from vsmooth.data.storage.dataset import Dataset
from vsmooth.data.storage.encoded import Listing

SPLIT_PREFIXES = {"train": ("train",), "test": ("test", "validation", "val")}


def find_split_files(folder: Path, split: str) -> list[Path]:
    """The parquet files of a split, sorted by name; empty if there are none."""
    for prefix in SPLIT_PREFIXES[split]:
        for place in (folder, folder / "data"):
            if files := sorted(place.glob(f"{prefix}*.parquet")):
                return files
    return []


def load_parquet(folder: Path, loading: Loading) -> Dataset:
    """Load the two splits of a folder.

    Streamed, the files are first turned, once, into Arrow files below the data root ($VSMOOTH_DATA): rows of a parquet
    file cannot be read one by one. Errors: ValueError naming the file and what is wrong with it.
    """
    files = {split: find_split_files(folder, split) for split in SPLIT_PREFIXES}
    for split, found in files.items():
        if not found:
            patterns = ", ".join(f"{prefix}*.parquet" for prefix in SPLIT_PREFIXES[split])
            raise ValueError(
                f"{folder} has no {split} split: looked for {patterns} there and in {folder / 'data'}"
            )
    # Every schema is checked before the first image is decoded: a wrong file fails at once.
    opened = {split: [open_parquet(path) for path in found] for split, found in files.items()}
    for split, found in files.items():
        for path, file in zip(found, opened[split], strict=True):
            _check_schema(file.schema_arrow, path)
    names = _names_in_folder(folder) or _names_in_schema(opened["train"][0].schema_arrow)
    if loading.image_size is None:
        listings = {split: _list_split(opened[split], files[split], folder) for split in files}
    else:
        listings = _list_as_arrow(files, folder)
    classes = class_names(names, listings["train"], str(folder))
    return assemble(folder.name, classes, listings, loading)


def open_parquet(path: Path) -> Any:
    """A parquet file, its metadata read. Errors: ValueError for a file that is none."""
    parquet = import_extra("pyarrow.parquet", "reading parquet files")
    arrow = import_extra("pyarrow", "reading parquet files")
    _check_regular(path)
    try:
        return parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable parquet file: {_first_line(error)}") from error


def _check_regular(path: Path) -> None:
    if not path.is_file():  # opening a pipe would wait for ever
        raise ValueError(f"{path} is not a regular file")


def _check_schema(schema: Any, path: Path) -> None:
    types = import_extra("pyarrow.types", "reading parquet files")
    image, label = pick_columns(schema.names, str(path))
    image_type, label_type = schema.field(image).type, schema.field(label).type
    is_bytes = types.is_binary(image_type) or types.is_large_binary(image_type)
    is_layout = types.is_struct(image_type) and image_type.get_field_index("bytes") >= 0
    if not is_bytes and not is_layout:
        raise ValueError(f"{path}: column {image!r} must be struct<bytes, path> or binary, got {image_type}")
    if not types.is_integer(label_type):
        raise ValueError(f"{path}: column {label!r} must be integers 0..K-1, got {label_type}")


def _list_split(files: list[Any], paths: list[Path], folder: Path) -> Listing:
    cells: list[Any] = []
    labels: list[Any] = []
    for file, path in zip(files, paths, strict=True):
        image, label = pick_columns(file.schema_arrow.names, str(path))
        table = read_columns(file, path, [image, label])
        cells += table[image].to_pylist()
        labels += table[label].to_pylist()
    return list_rows(cells, labels, _describe(paths), [folder])


def read_columns(file: Any, path: Path, columns: list[str]) -> Any:
    """Columns of an open parquet file as a table. Errors: ValueError for a damaged file."""
    try:
        return file.read(columns=columns)
    except (import_extra("pyarrow", "reading parquet files").ArrowException, OSError) as error:
        raise ValueError(f"{path} is a damaged parquet file: {_first_line(error)}") from error


def _list_as_arrow(files: dict[str, list[Path]], folder: Path) -> dict[str, Listing]:
    datasets = import_extra("datasets", "streaming parquet files")
    paths = {split: [str(path) for path in found] for split, found in files.items()}
    try:
        tables = datasets.load_dataset("parquet", data_files=paths, cache_dir=str(data_root() / "arrow"))
    except Exception as error:  # whatever `datasets` makes of a damaged file or a full disk
        reason = _first_line(error.__cause__ or error)
        raise ValueError(f"{_describe(files['train'])} cannot be turned into Arrow files: {reason}") from error
    return {split: list_table(tables[split], _describe(found), [folder]) for split, found in files.items()}


def _describe(paths: list[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} .. {paths[-1].name}"


def _names_in_folder(folder: Path) -> list[str] | None:
    path = folder / "classes.json"
    if not path.exists():
        return None
    _check_regular(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    names = content.get("names") if isinstance(content, dict) else content
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f'{path} must be a list of class names, or an object with such a list under "names"')
    return names


def _names_in_schema(schema: Any) -> list[str] | None:
    _, label = pick_columns(schema.names, "the schema")
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):  # no metadata, or of another layout
        return None
    return names if isinstance(names, list) and names and all(isinstance(name, str) for name in names) else None


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
