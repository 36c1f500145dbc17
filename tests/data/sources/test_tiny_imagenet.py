"""Tiny-ImageNet-200 in its layout, with a few made images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from data_builders import cut_off, make_photo, write_photo
from torchvision.transforms.v2.functional import pil_to_tensor

from vsmooth.data import FileSet, ImageSet, load_dataset

WNIDS = ("n02124075", "n01443537", "n04067472")  # not sorted, as in the real file
WORDS = {"n01443537": "goldfish, Carassius auratus", "n02124075": "Egyptian cat", "n04067472": "reel"}
VAL = (("val_0.JPEG", "n04067472"), ("val_1.JPEG", "n01443537"), ("val_10.JPEG", "n02124075"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "tiny-imagenet-200"
    for number, wnid in enumerate(WNIDS):
        for index in range(2):
            write_photo(root / "train" / wnid / "images" / f"{wnid}_{index}.JPEG", 64, 64, 10 * number + index)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t63\t63\n")
    write_photo(root / "train" / WNIDS[0] / "images" / f"{WNIDS[0]}_2.JPEG", 64, 64, 5, mode="L")
    for number, (name, _) in enumerate(VAL):
        write_photo(root / "val" / "images" / name, 64, 64, 100 + number)
    lines = "".join(f"{name}\t{wnid}\t0\t32\t44\t62\n" for name, wnid in VAL)
    (root / "val" / "val_annotations.txt").write_text(lines)
    write_photo(root / "test" / "images" / "test_0.JPEG", 64, 64)
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    words = WORDS | {"n00001740": "entity"}
    (root / "words.txt").write_text("".join(f"{wnid}\t{name}\n" for wnid, name in words.items()))
    return root


def test_as_distributed(folder: Path) -> None:
    dataset = load_dataset(str(folder))
    assert dataset.classes == ("goldfish, Carassius auratus", "Egyptian cat", "reel")  # by id
    assert dataset.image_shape == (3, 64, 64)
    assert isinstance(dataset.train, ImageSet)
    assert isinstance(dataset.test, ImageSet)
    assert dataset.train.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert dataset.test.labels.tolist() == [2, 0, 1]  # as annotated, in that order
    for number, image in enumerate(dataset.test.images):
        # JPEG moves levels a little; another picture would be far away.
        assert (image.int() - pil_to_tensor(make_photo(64, 64, 100 + number)).int()).abs().float().mean() < 6


def test_grey_images_become_rgb(folder: Path) -> None:
    dataset = load_dataset(str(folder))
    assert isinstance(dataset.train, ImageSet)
    grey = dataset.train.images[4]
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])
    assert not torch.equal(dataset.train.images[3, 0], dataset.train.images[3, 1])


def test_streamed_if_a_size_is_given(folder: Path) -> None:
    dataset = load_dataset(str(folder), image_size=32)
    assert isinstance(dataset.train, FileSet)
    assert dataset.image_shape == (3, 32, 32)
    assert dataset.train.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert dataset.train.name(2).endswith("train/n02124075/images/n02124075_0.JPEG")


def test_without_words_the_ids_are_the_names(folder: Path) -> None:
    (folder / "words.txt").unlink()
    assert load_dataset(str(folder)).classes == tuple(sorted(WNIDS))


def test_words_that_two_ids_share(folder: Path) -> None:
    (folder / "words.txt").write_text("n01443537\tcrane\nn02124075\tcrane\nn04067472\treel\n")
    assert load_dataset(str(folder)).classes == ("crane (n01443537)", "crane (n02124075)", "reel")


def test_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSMOOTH_DATA", str(folder.parent / "elsewhere"))
    with pytest.raises(ValueError, match=r"'tiny-imagenet' is not there: looked for .*elsewhere/tiny-imagenet-200;"):
        load_dataset("tiny-imagenet")
    monkeypatch.setenv("VSMOOTH_DATA", str(folder.parent))
    with pytest.raises(ValueError, match=r"tiny-imagenet-200 has 3 classes, but tiny-imagenet has 200"):
        load_dataset("tiny-imagenet")


def test_broken_images(folder: Path) -> None:
    first = cut_off(folder / "train" / WNIDS[1] / "images" / f"{WNIDS[1]}_1.JPEG")
    second = folder / "val" / "images" / "val_0.JPEG"
    second.unlink()
    with pytest.raises(ValueError, match=rf"{first} cannot be read as an image.*--skip-broken"):
        load_dataset(str(folder))
    dataset = load_dataset(str(folder), skip_broken=True)
    assert dataset.skipped == (str(first), str(second))
    assert dataset.train.labels.tolist() == [0, 1, 1, 1, 2, 2]
    assert dataset.test.labels.tolist() == [0, 1]


def test_missing_pieces(folder: Path) -> None:
    annotations = folder / "val" / "val_annotations.txt"
    kept = annotations.read_text()
    annotations.write_text("val_0.JPEG\tn99999999\t0\t0\t1\t1\n")
    with pytest.raises(ValueError, match=r"val_annotations\.txt, line 1: expected a file, a tab and an id of wnids"):
        load_dataset(str(folder))
    annotations.unlink()
    shutil.rmtree(folder / "val")
    with pytest.raises(ValueError, match=r"val_annotations\.txt is missing; it is a part of Tiny-ImageNet-200"):
        load_dataset(str(folder))
    annotations.parent.mkdir()
    annotations.write_text("\n")
    with pytest.raises(ValueError, match=r"val_annotations\.txt is empty"):
        load_dataset(str(folder))
    annotations.write_text(kept)
    for file in (folder / "train" / WNIDS[1] / "images").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=rf"train/{WNIDS[1]}/images has no images"):
        load_dataset(str(folder))
    shutil.rmtree(folder / "train" / WNIDS[1])
    (folder / "train" / "n1").mkdir()
    with pytest.raises(ValueError, match=r"the 3 classes of wnids\.txt: missing n01443537; unknown n1"):
        load_dataset(str(folder))
    shutil.rmtree(folder / "train")
    with pytest.raises(ValueError, match=r"has no train split: looked for a folder train/"):
        load_dataset(str(folder))
