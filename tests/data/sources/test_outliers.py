"""Outliers from every kind of source: one shape, one rule, labels gone; made ones; and mistakes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from vsmooth.data import ImageSet
from vsmooth.data.sources import outliers
from vsmooth.data.sources.outliers import Outliers, Wanted, list_outlier_sources, load_outliers
from vsmooth.data.sources.reshape import reshape_images
from vsmooth.data.sources.synthetic import KINDS, make_outliers

RGB = Wanted((3, 8, 8))


def picture(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def write_table(path: Path, count: int, seed: int = 0, **columns: Any) -> None:
    cells = []
    for index in range(count):
        buffer = io.BytesIO()
        picture(8, 8, seed=seed + index).save(buffer, "png")
        cells.append({"bytes": buffer.getvalue(), "path": None})
    pyarrow.parquet.write_table(pyarrow.table({"image": cells, **columns}), path)


def base(count: int = 6, shape: tuple[int, int, int] = (3, 8, 8)) -> ImageSet:
    pixels = torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(5))
    return ImageSet(pixels.to(torch.uint8), torch.zeros(count, dtype=torch.long))


def test_a_folder_of_images_of_several_sizes_and_colours(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for index, (width, height, mode) in enumerate([(8, 8, "RGB"), (20, 10, "RGB"), (9, 30, "L")]):
        picture(width, height, mode).save(tmp_path / "deep" / f"{index}.png")
    found = load_outliers(str(tmp_path), RGB)
    assert (found.name, found.source) == (tmp_path.name, str(tmp_path))
    assert found.images.images.shape == (3, 3, 8, 8)
    assert found.images.labels.tolist() == [-1] * 3
    assert found.rule == "3 sizes to 8x8: scaled to cover it (bilinear, antialiased), centre cut out"


def test_parquet_with_and_without_labels_and_splits(tmp_path: Path) -> None:
    write_table(tmp_path / "train.parquet", 5, label=[0] * 5)
    write_table(tmp_path / "test.parquet", 3, seed=50)
    assert [len(load_outliers(str(tmp_path), Wanted((3, 8, 8), split)).images) for split in ("train", "test")] == [5, 3]
    (tmp_path / "test.parquet").rename(tmp_path / "other.parquet")
    assert len(load_outliers(str(tmp_path), RGB).images) == 5  # the one split that there is
    assert len(load_outliers(str(tmp_path / "other.parquet"), RGB).images) == 3


def test_a_folder_with_splits_gives_the_split(tmp_path: Path) -> None:
    for split, count in (("train", 2), ("test", 1)):
        (tmp_path / split / "a").mkdir(parents=True)
        for index in range(count):
            picture(8, 8).save(tmp_path / split / "a" / f"{index}.png")
    assert [len(load_outliers(str(tmp_path), Wanted((3, 8, 8), split)).images) for split in ("train", "test")] == [2, 1]


def test_an_array_as_the_public_300k_images_come(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "random.npy", pixels)
    found = load_outliers(str(tmp_path / "random.npy"), Wanted((3, 8, 8), limit=4))
    np.testing.assert_array_equal(found.images.images.permute(0, 2, 3, 1).numpy(), pixels[[0, 3, 6, 9]])
    assert (found.name, found.rule) == ("random", "as they are")


def test_the_colour_rule() -> None:
    red, _ = reshape_images([torch.tensor([200, 0, 0], dtype=torch.uint8)[:, None, None].expand(3, 4, 4)], (1, 4, 4))
    assert red.unique().tolist() == [60]  # .299 * 200
    grey, rule = reshape_images([torch.full((1, 4, 4), 7, dtype=torch.uint8)], (3, 4, 4))
    assert (grey.unique().tolist(), rule) == ([7], "grey to RGB")
    assert reshape_images([grey[0]], (1, 4, 4))[1] == "as they are"  # three equal channels are one


def test_scaling_agrees_with_torchvision() -> None:
    from torchvision.transforms import v2

    image = torch.from_numpy(np.array(picture(40, 24))).permute(2, 0, 1)
    reference = v2.Compose([v2.Resize(12, antialias=True), v2.CenterCrop(12)])(image)
    found, _ = reshape_images([image], (3, 12, 12))
    assert (found[0].int() - reference.int()).abs().max() <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 5, 7)])
def test_made_images(kind: str, shape: tuple[int, int, int]) -> None:
    """An image depends on its place alone, and no two are the same."""
    own = base(shape=shape)
    few, many = (make_outliers(f"synthetic:{kind}", own, count, seed=3) for count in (4, 9))
    assert torch.equal(few.images, many.images[:4])
    assert many.image_shape == shape
    assert many.labels.unique().tolist() == [-1]
    assert len(many.images.flatten(1).unique(dim=0)) == 9
    assert not torch.equal(make_outliers(f"synthetic:{kind}", own, 4, seed=4).images, few.images)


def test_all_kinds_in_turn_and_a_jigsaw_keeps_its_pixels() -> None:
    own = base(1, (3, 8, 8))
    found = load_outliers("synthetic", Wanted((3, 8, 8), limit=8, base=own))
    assert (len(found.images), found.rule) == (8, "made in this size")
    jigsaw = make_outliers("synthetic:jigsaw", own, 1).images
    assert torch.equal(jigsaw.flatten().sort().values, own.images.flatten().sort().values)
    assert not torch.equal(jigsaw, own.images)


def test_the_digest_tells_pixels_apart() -> None:
    one, other = base(), base()
    other.images[0, 0, 0, 0] ^= 1
    assert Outliers("a", "a", one, "").digest == Outliers("b", "b", base(), "other").digest
    assert Outliers("a", "a", one, "").digest != Outliers("a", "a", other, "").digest


def test_downloaded_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With torchvision's and pytorch-ood's classes replaced by folders that are there."""
    monkeypatch.setenv("VSMOOTH_DATA", str(tmp_path))
    for index in range(3):
        picture(20, 10, seed=index).save(tmp_path / f"{index}.png")

    class Textures:
        def __init__(self, root: str, split: str, download: bool) -> None:
            self._image_files = [tmp_path / f"{('train', 'val', 'test').index(split)}.png"]

    class Cropped:
        def __init__(self, root: str, download: bool) -> None:
            self.basedir, self.files = root, ["0.png", "1.png"]

    monkeypatch.setattr("torchvision.datasets.DTD", Textures)
    assert len(load_outliers("textures", RGB).images) == 3
    pytest.importorskip("pytorch_ood.dataset.img")
    monkeypatch.setattr("pytorch_ood.dataset.img.LSUNCrop", Cropped)
    found = load_outliers("lsun-crop", RGB)
    assert (found.name, len(found.images)) == ("lsun-crop", 2)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr("torchvision.datasets.DTD", fail)
    with pytest.raises(ValueError, match=r"'textures' is neither in .* nor could it be downloaded there"):
        load_outliers("textures", RGB)


def test_unreadable_images_stop_it_or_are_left_out(tmp_path: Path) -> None:
    picture(8, 8).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b\.png cannot be read"):
        load_outliers(str(tmp_path), RGB)
    assert len(load_outliers(str(tmp_path), Wanted((3, 8, 8), skip_broken=True)).images) == 1


@pytest.mark.parametrize(
    ("source", "wanted", "message"),
    [
        ("textues", RGB, "unknown outliers 'textues'; did you mean 'textures'?"),
        ("iSUN", RGB, "iSUN is not downloaded by a library that this one uses: give the folder of its images"),
        ("synthetic:noize", Wanted((3, 8, 8), base=base()), "did you mean synthetic:noise?"),
        ("synthetic", RGB, "made of images of the classes that are in memory; here there are none"),
        ("synthetic", Wanted((3, 8, 8), limit=0, base=base()), "the number of outliers must be at least 1, got 0"),
    ],
)
def test_mistakes(source: str, wanted: Wanted, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_outliers(source, wanted)


def test_empty_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no images: looked for"):
        load_outliers(str(tmp_path), RGB)
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match="is not a readable parquet file"):
        load_outliers(str(tmp_path), RGB)
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"needs an image column \(image or img\), but has text"):
        load_outliers(str(tmp_path), RGB)


def test_every_name_is_described() -> None:
    assert {"synthetic", "textures", "places365", "lsun-crop", "svhn", "cifar100"} <= list_outlier_sources().keys()
    assert outliers.DOWNLOADED.keys() <= list_outlier_sources().keys()
