from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from vsmooth.data import load_dataset
from vsmooth.data.sources.embedded import load_embedded

FOLDER = Path(str(files("vsmooth.data.sources.embedded")))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "embedded", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize("source", ["embedded", "fashion-mnist-subset"])
def test_shape_and_balance(source: str) -> None:
    dataset = load_dataset(source)
    assert dataset.name == "fashion-mnist-subset"
    assert dataset.image_shape == (1, 28, 28)
    assert dataset.train.labels.bincount().tolist() == [600] * 10
    assert dataset.test.labels.bincount().tolist() == [200] * 10
    assert dataset.classes[0] == "T-shirt/top"
    assert dataset.classes[9] == "Ankle boot"


def test_statistics_are_those_of_fashion_mnist() -> None:
    mean, std = load_dataset("embedded").channel_statistics()
    # .2860 and .3530 over all 60,000 train images
    assert mean == pytest.approx((0.2860,), abs=0.005)
    assert std == pytest.approx((0.3530,), abs=0.005)


def test_images_belong_to_their_labels() -> None:
    dataset = load_dataset("embedded")
    train, test = (part.images.flatten(1).float() / 255 for part in (dataset.train, dataset.test))
    means = torch.stack([train[dataset.train.labels == index].mean(dim=0) for index in range(10)])
    nearest = torch.cdist(test, means).argmin(dim=1)
    assert (nearest == dataset.test.labels).float().mean() > 0.65


def test_no_image_occurs_in_both_splits() -> None:
    dataset = load_dataset("embedded")
    train = {image.numpy().tobytes() for image in dataset.train.images}
    assert not any(image.numpy().tobytes() in train for image in dataset.test.images)


def test_size_and_licence() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.png")) < 4_500_000
    assert "Copyright (c) 2017 Zalando SE" in (FOLDER / "LICENSE").read_text()


def test_one_changed_byte_is_noticed(copy: Path) -> None:
    path = copy / "test.png"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path} is damaged: its SHA-256 is .* reinstall vsmooth"):
        load_embedded(copy)


@pytest.mark.parametrize("name", ["train.png", "manifest.json"])
def test_missing_file(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} is missing; reinstall vsmooth"):
        load_embedded(copy)


def test_manifest_records_the_cut() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert manifest["seed"] == 2017
    assert all(len(sha) == 64 for split in manifest["splits"].values() for sha in split["cut_from"].values())
