"""ImageNet by name: 1,000 class folders of one made image each."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from data_builders import write_photo

from vsmooth.data import FileSet, known_set, load_dataset


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    photo = write_photo(root / "one.JPEG", 300, 260)
    for split in ("train", "val"):
        for number in range(1000):
            place = root / "imagenet" / split / f"n{number:08d}"
            place.mkdir(parents=True)
            os.link(photo, place / f"n{number:08d}_1.JPEG")
    (root / "imagenet" / "test").mkdir()  # the official test images have no labels
    return root


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes only."""
    for split in ("train", "val"):
        for number in range(2):
            write_photo(tmp_path / "imagenet" / split / f"n{number:08d}" / "x.JPEG", 300, 260)
    monkeypatch.setenv("VSMOOTH_DATA", str(tmp_path))
    return tmp_path / "imagenet"


def test_by_name(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSMOOTH_DATA", str(full))
    dataset = load_dataset("imagenet")
    assert dataset.num_classes == 1000
    assert dataset.classes[3] == "n00000003"
    assert isinstance(dataset.train, FileSet)
    assert dataset.image_shape == (3, 224, 224)
    assert dataset.test.labels.tolist() == list(range(1000))
    record = known_set("imagenet")
    assert record is not None
    assert dataset.channel_statistics() == (record.mean, record.std)
    assert load_dataset("imagenet", image_size=64).image_shape == (3, 64, 64)


def test_a_part_of_it_is_a_folder(small: Path) -> None:
    with pytest.raises(ValueError, match=r"imagenet/train has 2 class folders, but ImageNet has 1000; for a part"):
        load_dataset("imagenet")
    assert load_dataset(str(small), image_size=224).num_classes == 2


def test_missing_splits(small: Path) -> None:
    shutil.rmtree(small / "train")
    with pytest.raises(ValueError, match=r"'imagenet' is not there: looked for .*imagenet/train/<wnid>/\*\.JPEG; get"):
        load_dataset("imagenet")


def test_val_as_image_net_org_packs_it(full: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet" / "train").symlink_to(full / "imagenet" / "train")
    write_photo(tmp_path / "imagenet" / "val" / "ILSVRC2012_val_00000001.JPEG")
    monkeypatch.setenv("VSMOOTH_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"imagenet/val holds images but no class folders; move each image"):
        load_dataset("imagenet")
