from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from data_builders import make_dataset, write_parquet_folder

from vsmooth.data import Dataset, list_sources, load_dataset


def test_every_name_is_listed_with_a_description() -> None:
    sources = list_sources()
    names = {"embedded", "fashion-mnist-subset", "cifar10", "cifar100", "svhn", "mnist", "fashion-mnist"}
    assert set(sources) == names | {"tiny-imagenet", "imagenet"}
    assert all(sources.values())


@pytest.mark.parametrize(
    ("typed", "meant"), [("cifar-10", "cifar10"), ("embeded", "embedded"), ("Fashion_MNIST", "fashion-mnist")]
)
def test_unknown_name_suggests_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown data source '{typed}': did you mean '{meant}'\?"):
        load_dataset(typed)


def test_unknown_name_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=rf"Looked for a name \(embedded, .*\), a folder {tmp_path}/qqq, and"
    ):
        load_dataset("qqq")
    with pytest.raises(ValueError, match=rf"a folder {tmp_path}/no/such/place"):
        load_dataset("./no/such/place")
    with pytest.raises(ValueError, match="unknown data source ''"):
        load_dataset("")


def test_a_folder_goes_before_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = make_dataset()
    write_parquet_folder(tmp_path / "owner" / "name", written)
    monkeypatch.chdir(tmp_path)
    assert load_dataset("owner/name").fingerprint == written.fingerprint


def test_a_file_is_not_a_source(tmp_path: Path) -> None:
    path = write_parquet_folder(tmp_path, make_dataset()) / "train.parquet"
    with pytest.raises(ValueError, match=r"train\.parquet' is a file .*; give the folder"):
        load_dataset(str(path))


def test_folder_without_data(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{tmp_path} holds no data set: looked for .*; found nothing"):
        load_dataset(str(tmp_path))
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match="found images"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize("name", ["hub:", "hub:imagenet", "hub:a/b/c"])
def test_bad_hub_name(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' is not a Hub name; write it as hub:owner/name"):
        load_dataset(name)


def test_heavy_packages_are_not_imported_ahead() -> None:
    heavy = ["datasets", "pyarrow", "torchvision", "timm", "matplotlib", "PIL"]
    code = f"import sys, vsmooth.data; print([name for name in {heavy} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def test_cifar10_from_parquet(shared_cifar10: Dataset) -> None:
    assert (len(shared_cifar10.train), len(shared_cifar10.test)) == (50_000, 10_000)
    assert shared_cifar10.classes[:3] == ("airplane", "automobile", "bird")
    assert shared_cifar10.train.labels.bincount().tolist() == [5000] * 10
    # The statistics of CIFAR-10 that everyone uses
    mean, std = shared_cifar10.channel_statistics()
    assert mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=1e-4)
    assert std == pytest.approx((0.2470, 0.2435, 0.2616), abs=1e-4)


@pytest.mark.parametrize("source", ["embedded", "fashion-mnist-subset", "cifar10", "mnist"])
def test_an_image_size_is_for_streamed_sources(source: str) -> None:
    with pytest.raises(ValueError, match=rf"image_size=64 does not go with '{source}', whose images are kept"):
        load_dataset(source, image_size=64)


@pytest.mark.parametrize("size", [0, -3])
def test_image_size_out_of_range(size: int) -> None:
    with pytest.raises(ValueError, match=rf"image_size must be at least 1 pixel, got {size}"):
        load_dataset("imagenet", image_size=size)
