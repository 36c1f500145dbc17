from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from data_builders import make_images, write_idx

from vsmooth.data import load_dataset
from vsmooth.data.sources.roots import data_root


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VSMOOTH_DATA", str(tmp_path))
    return tmp_path


class FakeCifar:
    """The attributes of torchvision's CIFAR10: pixels (N, H, W, 3) in an array, labels in a list."""

    classes = ("a", "b", "c")

    def __init__(self, root: str, train: bool, download: bool) -> None:
        assert download
        self.root = root
        self.data = make_images(6, 3, 32, seed=int(train)).permute(0, 2, 3, 1).numpy()
        self.targets = [0, 1, 2, 0, 1, 2]


class FakeSvhn:
    """The attributes of torchvision's SVHN: pixels (N, 3, H, W) and labels, both arrays."""

    def __init__(self, root: str, split: str, download: bool) -> None:
        self.data = make_images(4, 3, 32, seed=len(split)).numpy()
        self.labels = np.array([0, 9, 1, 2])


@pytest.mark.parametrize(
    ("name", "folder", "first_class"),
    [("mnist", "MNIST", "0"), ("fashion-mnist", "FashionMNIST", "T-shirt/top")],
)
def test_idx_files_that_are_there_already(root: Path, name: str, folder: str, first_class: str) -> None:
    images = make_images(5, 1, 28)
    labels = np.array([0, 1, 2, 9, 1])
    for prefix in ("train", "t10k"):
        raw = root / folder / "raw"
        write_idx(raw / f"{prefix}-images-idx3-ubyte", images[:, 0].numpy())
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", labels)
    dataset = load_dataset(name)
    assert dataset.name == name
    assert dataset.num_classes == 10
    assert dataset.classes[0] == first_class
    assert torch.equal(dataset.train.images, images)
    assert dataset.test.labels.tolist() == labels.tolist()


def test_colour_pixels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets, "CIFAR100", FakeCifar)
    dataset = load_dataset("cifar100")
    assert dataset.classes == ("a", "b", "c")
    assert torch.equal(dataset.train.images, make_images(6, 3, 32, seed=1))
    assert torch.equal(dataset.test.images, make_images(6, 3, 32, seed=0))
    assert dataset.train.images.is_contiguous()


def test_colour_pixels_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets, "SVHN", FakeSvhn)
    dataset = load_dataset("svhn")
    assert torch.equal(dataset.train.images, make_images(4, 3, 32, seed=5))
    assert dataset.test.labels.tolist() == [0, 9, 1, 2]
    assert dataset.classes == tuple("0123456789")


@pytest.mark.parametrize("error", [OSError("no route"), RuntimeError("File not found or corrupted.")])
def test_failed_download_says_where_it_looked(
    error: Exception, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    message = rf"'cifar10' is neither in {root} nor could it be downloaded there \({error}\).*VSMOOTH_DATA"
    with pytest.raises(ValueError, match=message):
        load_dataset("cifar10")


def test_package_that_torchvision_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    monkeypatch.setattr(torchvision.datasets, "SVHN", fail)
    with pytest.raises(ModuleNotFoundError, match=r"'svhn' needs scipy: pip install 'vsmooth\[lab\]'"):
        load_dataset("svhn")


def test_missing_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchvision.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"'mnist' needs torchvision: pip install 'vsmooth\[lab\]'"):
        load_dataset("mnist")


def test_root_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VSMOOTH_DATA")
    assert data_root() == Path.home() / ".cache" / "vsmooth"
