"""Data that is not what it was or should be: other files of equal size, other class names, test images from train."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from data_builders import make_dataset, write_image_folder, write_parquet_folder
from PIL import Image

from vsmooth.cli import main
from vsmooth.data import Dataset, load_dataset
from vsmooth.data.storage import files


def bitmap_like(path: Path, value: int) -> None:
    """A PNG whose size in bytes does not depend on its pixels."""
    Image.new("RGB", (8, 8), (value, 0, 0)).save(path, compress_level=0)


def streamed_folder(folder: Path, train: int = 3) -> Path:
    for split, count in (("train", train), ("test", 1)):
        for label in "ab":
            for index in range(count):
                path = folder / split / label / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                bitmap_like(path, (100 if split == "test" else 0) + 10 * index + (label == "b"))
    return folder


def test_streamed_files_of_equal_size_are_told_apart(tmp_path: Path) -> None:
    folder = streamed_folder(tmp_path)
    before = load_dataset(str(folder), image_size=8).fingerprint
    assert load_dataset(str(folder), image_size=8).fingerprint == before
    size = (folder / "train" / "b" / "1.png").stat().st_size
    bitmap_like(folder / "train" / "b" / "1.png", 77)
    assert (folder / "train" / "b" / "1.png").stat().st_size == size
    assert load_dataset(str(folder), image_size=8).fingerprint != before


def test_of_large_streamed_sets_a_sample_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "HASHED_BYTES", 100)
    monkeypatch.setattr(files, "HASHED_SAMPLE", 3)
    folder = streamed_folder(tmp_path)
    before = load_dataset(str(folder), image_size=8).fingerprint
    bitmap_like(folder / "train" / "a" / "1.png", 77)  # index 1 of 6, where 0, 2 and 4 are looked at
    assert load_dataset(str(folder), image_size=8).fingerprint == before
    bitmap_like(folder / "train" / "a" / "2.png", 77)
    assert load_dataset(str(folder), image_size=8).fingerprint != before


def test_streamed_tables_of_equal_size_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSMOOTH_DATA", str(tmp_path / "cache"))
    found = []
    for number in range(2):
        dataset = make_dataset()
        dataset.test.images[0, 0, 0, 0] = number
        folder = write_parquet_folder(tmp_path / str(number), dataset)
        found.append(load_dataset(str(folder), image_size=8))
    assert found[0].test.sizes.tolist() == found[1].test.sizes.tolist()
    assert found[0].fingerprint != found[1].fingerprint


@pytest.mark.parametrize("image_size", [None, 8])
def test_the_order_of_class_names_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_size: int) -> None:
    monkeypatch.setenv("VSMOOTH_DATA", str(tmp_path / "cache"))
    folder = write_parquet_folder(tmp_path / "set", make_dataset())
    found = []
    for names in (["x", "y", "z"], ["y", "x", "z"]):
        (folder / "classes.json").write_text(json.dumps(names))
        found.append(load_dataset(str(folder), image_size=image_size).fingerprint)
    assert found[0] != found[1]


def test_a_run_is_not_resumed_with_permuted_class_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_parquet_folder(tmp_path / "set", make_dataset(train=40, test=20))
    tiny = ["--label", "one-hot", "--epochs", "1", "--batch-size", "8", "--crop-padding", "0", "--precision", "fp32"]
    command = ["train", "--data", str(folder), "--out", str(tmp_path / "out"), *tiny]
    for names, status in ((["x", "y", "z"], 0), (["y", "x", "z"], 2)):
        (folder / "classes.json").write_text(json.dumps(names))
        assert main(command) == status
    assert "images" in capsys.readouterr().err


def with_shared(count: int) -> Dataset:
    dataset = make_dataset()
    dataset.test.images[:count] = dataset.train.images[:count]
    return dataset


@pytest.mark.parametrize("image_size", [None, 8])
@pytest.mark.parametrize(("shared", "said"), [(6, "6 of 6"), (2, "2 of 6"), (0, None)])
def test_test_images_that_are_train_images_are_counted(
    tmp_path: Path, shared: int, said: str | None, image_size: int | None
) -> None:
    folder = write_image_folder(tmp_path / "set", with_shared(shared))
    note = load_dataset(str(folder), image_size=image_size).overlap_note
    assert note == (
        said and f"set: {said} test images are also in the train split; on these the test says nothing about new images"
    )


def test_the_count_of_a_sample_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "HASHED_BYTES", 100)
    monkeypatch.setattr(files, "HASHED_SAMPLE", 3)
    dataset = make_dataset()
    both = Dataset("x", dataset.classes, dataset.train, dataset.train)
    note = load_dataset(str(write_image_folder(tmp_path, both)), image_size=8).overlap_note
    assert note is not None
    assert "3 of 3 sampled test images" in note


def test_the_command_line_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_image_folder(tmp_path / "set", with_shared(6))
    arguments = ["train", "--label", "one-hot", "--data", str(folder), "--out", str(tmp_path / "out"), "--dry-run"]
    assert main([*arguments, "--batch-size", "4", "--crop-padding", "0"]) == 0
    output = capsys.readouterr()
    said = " ".join((output.out + output.err).split())
    assert said.count("set: 6 of 6 test images are also in the train split") == 1


def test_an_image_that_went_away_is_named(tmp_path: Path) -> None:
    dataset = load_dataset(str(streamed_folder(tmp_path)), image_size=8)
    (tmp_path / "train" / "a" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"a/0\.png cannot be read: No such file or directory"):
        _ = dataset.fingerprint
