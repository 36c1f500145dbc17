"""Data that is damaged or meant to do harm: nothing is started, nothing outside of the data is read, nothing hangs."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from data_builders import make_dataset, make_images, make_set, serve, to_png, write_image_folder, write_parquet

from vsmooth.data import load_dataset

CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of its own, and an alarm for what would hang."""
    monkeypatch.setenv("VSMOOTH_DATA", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    signal.alarm(60)
    yield
    signal.alarm(0)


def parquet_folder(folder: Path, **train: Any) -> Path:
    """Six images a split; `train` replaces columns of its train file."""
    write_parquet(folder / "train.parquet", make_set(6), **train)
    write_parquet(folder / "test.parquet", make_set(6, seed=1))
    return folder


def cells(*paths: str) -> pa.Array:
    good = [{"bytes": to_png(image), "path": None} for image in make_images(6 - len(paths))]
    return pa.array([{"bytes": None, "path": path} for path in paths] + good, CELL)


@pytest.mark.parametrize("image_size", [None, 8])
def test_no_program_is_started_for_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_size: int | None
) -> None:
    from PIL import EpsImagePlugin

    started = tmp_path / "started"
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\necho x >> {started}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", str(ghostscript))
    folder = write_image_folder(tmp_path / "set", make_dataset())
    bad = folder / "train" / "class-0" / "0000.png"
    bad.write_bytes(EPS)
    with pytest.raises(ValueError, match=rf"{bad} cannot be read as an image: it is not PNG or JPEG, or damaged"):
        load_dataset(str(folder), image_size=image_size)
    assert not started.exists()


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_refused(tmp_path: Path, kind: str) -> None:
    from PIL import Image

    folder = write_image_folder(tmp_path, make_dataset())
    Image.new("RGB", (8, 8)).save(folder / "test" / "class-1" / "0001.png", kind)
    with pytest.raises(ValueError, match=r"0001\.png cannot be read as an image: it is not PNG or JPEG"):
        load_dataset(str(folder))


@pytest.mark.parametrize("image_size", [None, 8])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str, image_size: int | None) -> None:
    folder = write_image_folder(tmp_path, make_dataset())
    bad = folder / "train" / "class-0" / "x.png"
    if kind == "pipe":
        os.mkfifo(bad)
    elif kind == "device":
        bad.symlink_to("/dev/zero")
    else:
        here = os.getcwd()
        os.chdir(bad.parent)  # the path of a socket has at most 107 characters
        socket.socket(socket.AF_UNIX).bind(bad.name)
        os.chdir(here)
    with pytest.raises(ValueError, match=rf"{bad} is missing.* or not a regular file; skip_broken"):
        load_dataset(str(folder), image_size=image_size)
    assert load_dataset(str(folder), image_size=image_size, skip_broken=True).skipped == (str(bad),)


@pytest.mark.parametrize("name", ["train.parquet", "classes.json"])
def test_pipes_in_the_place_of_tables_are_refused(tmp_path: Path, name: str) -> None:
    folder = parquet_folder(tmp_path)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(ValueError, match=rf"{folder / name} is not a regular file"):
        load_dataset(str(folder))


@pytest.mark.parametrize("image_size", [None, 8])
@pytest.mark.parametrize("path", ["{outside}", "../outside.png", "link.png", "x\0.png", "/dev/zero"])
def test_a_table_reads_no_files_outside_of_its_folder(tmp_path: Path, path: str, image_size: int | None) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(to_png(make_images(1)[0]))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link.png").symlink_to(outside)
    folder = parquet_folder(tmp_path / "set", image=cells(path.format(outside=outside)))
    with pytest.raises(
        ValueError, match=r"row 0 (has no image bytes, and the data's folder has no|is missing)"
    ):
        load_dataset(str(folder), image_size=image_size)


@pytest.mark.parametrize("image_size", [None, 8])
def test_a_table_reads_files_of_its_folder(
    tmp_path: Path, image_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    pixels = make_images(1, seed=5)[0]
    (folder / "images" / "x.png").write_bytes(to_png(pixels))
    monkeypatch.chdir(tmp_path)  # relative paths begin at the folder, not here
    parquet_folder(folder, image=cells("images/x.png", str(folder / "images" / "x.png")))
    train = load_dataset(str(folder), image_size=image_size).train
    for index in (0, 1):
        found = train.images[index] if image_size is None else train.read(index).pixels
        assert found.tolist() == pixels.tolist()


def test_a_hub_table_reads_what_was_downloaded_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloaded = tmp_path / "hub-cache"
    monkeypatch.setattr(datasets.config, "HF_CACHE_HOME", downloaded)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})

    def table(folder: Path) -> datasets.Dataset:
        folder.mkdir(exist_ok=True)
        paths = [folder / f"{index}.png" for index in range(3)]
        for path, image in zip(paths, make_images(3), strict=True):
            path.write_bytes(to_png(image))
        return datasets.Dataset.from_dict({"image": [str(path) for path in paths], "label": [0, 1, 2]}, features)

    serve(monkeypatch, train=table(downloaded), test=table(downloaded))
    assert load_dataset("hub:a/b").train.images.tolist() == make_images(3).tolist()
    serve(monkeypatch, train=table(tmp_path / "private"), test=table(downloaded))
    with pytest.raises(ValueError, match=r"hub:a/b, split train, row 0 has no image bytes, and the data's folder has"):
        load_dataset("hub:a/b")


def test_one_huge_label_makes_no_classes(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path, label=pa.array([0, 1, 2, 0, 1, 10**9]))
    message = r"train labels go up to 1000000000, but no image has the label 3; number the classes 0\.\.3, or name"
    with pytest.raises(ValueError, match=message):
        load_dataset(str(folder))


@pytest.mark.parametrize("label", [2**63, 2**64 - 1, -1])
def test_labels_that_no_class_can_have(tmp_path: Path, label: int) -> None:
    column = pa.array([0, 1, 2, label, 1, 2], pa.uint64() if label > 0 else pa.int64())
    with pytest.raises(ValueError, match=rf"row 3 has the label {label}; labels must be integers 0\.\.K-1"):
        load_dataset(str(parquet_folder(tmp_path, label=column)))


@pytest.mark.parametrize("names", [None, ["ape", "bee", "cow", "dog"]])
def test_classes_of_test_that_train_lacks(tmp_path: Path, names: list[str] | None) -> None:
    folder = parquet_folder(tmp_path)
    write_parquet(folder / "test.parquet", make_set(6), label=pa.array([0, 1, 2, 3, 3, 2]))
    if names is not None:
        (folder / "classes.json").write_text(json.dumps(names))
    missing = "3" if names is None else "dog"
    with pytest.raises(ValueError, match=rf"test split has classes of which the train split has no image: {missing};"):
        load_dataset(str(folder))


@pytest.mark.parametrize(
    "metadata", [b"{", b"[]", b'{"info": 3}', b'{"info": {"features": {"label": {"names": {"a": 1}}}}}', b"[" * 99_999]
)
def test_schema_metadata_of_another_layout_names_nothing(tmp_path: Path, metadata: bytes) -> None:
    folder = parquet_folder(tmp_path)
    table = pa.parquet.read_table(folder / "train.parquet").replace_schema_metadata({b"huggingface": metadata})
    pa.parquet.write_table(table, folder / "train.parquet")
    assert load_dataset(str(folder)).classes == ("0", "1", "2")


def test_a_deeply_nested_classes_json(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path)
    (folder / "classes.json").write_text("[" * 99_999)
    with pytest.raises(ValueError, match=r"classes\.json is not JSON"):
        load_dataset(str(folder))


def test_class_names_that_no_page_can_show(tmp_path: Path) -> None:
    folder = parquet_folder(tmp_path)
    (folder / "classes.json").write_text(json.dumps(["a", "b", "\ud800"]))
    with pytest.raises(ValueError, match=r"a class name is not valid Unicode text, got '\\ud800': rename it"):
        load_dataset(str(folder))
