from __future__ import annotations

from pathlib import Path

import pytest
from data_builders import by_class, make_dataset, make_images, to_png, write_image_folder

from vsmooth.data import Dataset, load_dataset


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_round_trip(tmp_path: Path, channels: int, test: str) -> None:
    written = make_dataset(channels=channels)
    loaded = load_dataset(str(write_image_folder(tmp_path / "pictures", written, test)))
    ordered = Dataset("x", written.classes, by_class(written.train), by_class(written.test))
    assert loaded.fingerprint == ordered.fingerprint
    assert loaded.classes == written.classes
    assert loaded.name == "pictures"


def test_only_images_count(tmp_path: Path) -> None:
    folder = write_image_folder(tmp_path, make_dataset())
    (folder / "train" / "class-0" / "notes.txt").write_text("x")
    (folder / "train" / "class-0" / ".hidden.png").write_text("x")
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "class-0" / "0000.png").rename(folder / "train" / "class-0" / "0000.PNG")
    loaded = load_dataset(str(folder))
    assert len(loaded.train) == 12
    assert loaded.num_classes == 3


@pytest.mark.parametrize(
    ("split", "looked_for"), [("train", "train/"), ("test", "test/ or val/ or validation/")]
)
def test_missing_split(tmp_path: Path, split: str, looked_for: str) -> None:
    folder = write_image_folder(tmp_path, make_dataset())
    (folder / split).rename(folder / "other")
    with pytest.raises(ValueError, match=rf"{folder} has no {split} split: looked for a folder {looked_for}"):
        load_dataset(str(folder))


def test_unreadable_image_is_named(tmp_path: Path) -> None:
    folder = write_image_folder(tmp_path, make_dataset())
    bad = folder / "train" / "class-1" / "0001.png"
    bad.write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=rf"{bad} cannot be read as an image"):
        load_dataset(str(folder))


@pytest.mark.parametrize(("channels", "size", "is_what"), [(3, 9, "9x9 RGB"), (1, 8, "8x8 grey")])
def test_odd_one_out_is_named(tmp_path: Path, channels: int, size: int, is_what: str) -> None:
    folder = write_image_folder(tmp_path, make_dataset())
    odd = folder / "test" / "class-2" / "0002.png"
    odd.write_bytes(to_png(make_images(1, channels, size)[0]))
    with pytest.raises(ValueError, match=rf"{odd} is {is_what}, but .*class-0/0000\.png is 8x8 RGB"):
        load_dataset(str(folder))


def test_splits_of_different_size(tmp_path: Path) -> None:
    folder = write_image_folder(tmp_path, make_dataset(size=8))
    for path in (folder / "test").rglob("*.png"):
        path.write_bytes(to_png(make_images(1, 3, 7)[0]))
    with pytest.raises(ValueError, match=r"train images are \(3, 8, 8\) .* test images are \(3, 7, 7\)"):
        load_dataset(str(folder))


def test_class_that_train_does_not_know(tmp_path: Path) -> None:
    folder = write_image_folder(tmp_path, make_dataset())
    (folder / "test" / "class-0").rename(folder / "test" / "zebra")
    with pytest.raises(ValueError, match=r"test has classes that .*train has not: zebra"):
        load_dataset(str(folder))


def test_empty_and_one_class(tmp_path: Path) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "test" / "cat").mkdir(parents=True)
    with pytest.raises(ValueError, match=rf"{tmp_path}/train has no images: looked for <class>/\*\.jpeg"):
        load_dataset(str(tmp_path))
    for split in ("train", "test"):
        (tmp_path / split / "cat" / "x.png").write_bytes(to_png(make_images(1)[0]))
    with pytest.raises(ValueError, match=r"needs at least 2 classes, got \['cat'\]"):
        load_dataset(str(tmp_path))


def test_class_folders_without_images_are_named(tmp_path: Path) -> None:
    folder = write_image_folder(tmp_path, make_dataset())
    for path in folder.glob("train/class-[12]/*.png"):
        path.unlink()
    with pytest.raises(ValueError, match="class folders without images: class-1, class-2; fill or remove them"):
        load_dataset(str(folder))
