from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from data_builders import make_dataset, make_set, write_parquet, write_parquet_folder

from vsmooth.data import Dataset, ImageSet, load_dataset

CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def assert_same(loaded: Dataset, written: Dataset) -> None:
    assert loaded.fingerprint == written.fingerprint
    assert loaded.classes == written.classes


def break_train(folder: Path, split: ImageSet, **columns: Any) -> Path:
    """A good folder whose train file has other columns."""
    write_parquet_folder(folder, make_dataset())
    write_parquet(folder / "train.parquet", split, **columns)
    return folder


@pytest.mark.parametrize("channels", [1, 3])
def test_round_trip(tmp_path: Path, channels: int) -> None:
    written = make_dataset(channels=channels)
    loaded = load_dataset(str(write_parquet_folder(tmp_path / "set", written)))
    assert loaded.name == "set"
    assert_same(loaded, written)


def test_shards_in_the_data_folder_are_joined_in_order(tmp_path: Path) -> None:
    written = make_dataset(train=9)
    for shard in range(3):
        part = written.train.subset(torch.arange(3 * shard, 3 * shard + 3))
        write_parquet(tmp_path / "data" / f"train-0000{shard}-of-00003.parquet", part, written.classes)
    write_parquet(tmp_path / "data" / "validation-00000-of-00001.parquet", written.test, written.classes)
    assert_same(load_dataset(str(tmp_path)), written)


@pytest.mark.parametrize("wrap", [lambda names: names, lambda names: {"names": names, "source": "x"}])
def test_names_in_classes_json_go_first(tmp_path: Path, wrap: Any) -> None:
    write_parquet_folder(tmp_path, make_dataset())
    (tmp_path / "classes.json").write_text(json.dumps(wrap(["x", "y", "z"])))
    assert load_dataset(str(tmp_path)).classes == ("x", "y", "z")


def test_without_names_classes_are_numbered(tmp_path: Path) -> None:
    folder = write_parquet_folder(tmp_path, make_dataset(), names=False)
    assert load_dataset(str(folder)).classes == ("0", "1", "2")


def test_plain_bytes_and_other_column_names(tmp_path: Path) -> None:
    written = make_dataset()
    for split, part in (("train", written.train), ("test", written.test)):
        write_parquet(tmp_path / f"{split}.parquet", part)
        table = pa.parquet.read_table(tmp_path / f"{split}.parquet")
        plain = table["image"].combine_chunks().field("bytes")
        renamed = {"img": plain, "fine_label": table["label"], "image": None, "label": None}
        write_parquet(tmp_path / f"{split}.parquet", part, **renamed)
    (tmp_path / "classes.json").write_text(json.dumps(written.classes))
    assert load_dataset(str(tmp_path)).fingerprint == written.fingerprint


def test_missing_split(tmp_path: Path) -> None:
    write_parquet(tmp_path / "test.parquet", make_set(3))
    message = rf"{tmp_path} has no train split: looked for train\*\.parquet there and in {tmp_path}/data"
    with pytest.raises(ValueError, match=message):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_broken_file_is_named(tmp_path: Path, keep: int) -> None:
    path = write_parquet_folder(tmp_path, make_dataset()) / "train.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"{path} is not a readable parquet file: "):
        load_dataset(str(tmp_path))


def test_damage_inside_a_file_is_named(tmp_path: Path) -> None:
    path = write_parquet_folder(tmp_path, make_dataset()) / "train.parquet"
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path}"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": None}, r"needs an image column .* a label column \(label or fine_label\), but has image"),
        ({"image": None}, r"needs an image column \(image or img\).*but has label"),
        ({"image": pa.array(["x"] * 6)}, r"column 'image' must be struct<bytes, path> or binary, got string"),
        ({"label": pa.array([0.5] * 6)}, r"column 'label' must be integers 0\.\.K-1, got double"),
        ({"label": pa.array([0, 1, 2, None, 1, 2])}, r"row 3 has the label None; labels must be integers"),
        ({"image": pa.array([None] * 6, CELL)}, "row 0 has no image bytes"),
        (
            {"image": pa.array([{"bytes": None, "path": "gone.png"}] * 6, CELL)},
            r"row 0 .*\(path: gone\.png\)",
        ),
        (
            {"image": pa.array([{"bytes": b"GIF", "path": None}] * 6, CELL)},
            "row 0 cannot be read as an image",
        ),
        ({"label": pa.array([0, 1, 2, 9, 1, 2])}, r"train split must be in 0\.\.2 \(3 classes\), got 0\.\.9"),
        ({"label": pa.array([1] * 6)}, "the train split has no image: class-0, class-2; add train images"),
    ],
)
def test_wrong_content(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    folder = break_train(tmp_path, make_set(6), **columns)
    (folder / "classes.json").write_text(json.dumps(["class-0", "class-1", "class-2"]))
    with pytest.raises(ValueError, match=message):
        load_dataset(str(folder))


def test_no_rows(tmp_path: Path) -> None:
    empty = {"image": pa.array([], CELL), "label": pa.array([], pa.int64())}
    folder = break_train(tmp_path, make_set(1), **empty)
    with pytest.raises(ValueError, match=rf"{folder / 'train.parquet'} has no rows"):
        load_dataset(str(folder))


def test_schemas_are_checked_before_any_image_is_decoded(tmp_path: Path) -> None:
    rotten = pa.array([{"bytes": b"rotten", "path": None}] * 6, CELL)
    folder = break_train(tmp_path, make_set(6), image=rotten)
    write_parquet(folder / "test.parquet", make_set(6), label=None)
    with pytest.raises(ValueError, match=r"test\.parquet needs an image column"):
        load_dataset(str(folder))


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not JSON"), ('{"labels": []}', "must be a list of class names")]
)
def test_bad_classes_json(tmp_path: Path, text: str, message: str) -> None:
    write_parquet_folder(tmp_path, make_dataset())
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(ValueError, match=rf"classes\.json {message}"):
        load_dataset(str(tmp_path))


def test_missing_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet_folder(tmp_path, make_dataset())
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs pyarrow: pip install 'vsmooth\[lab\]'"):
        load_dataset(str(tmp_path))
