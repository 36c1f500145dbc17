"""Images without labels, from folders and arrays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from data_builders import make_images, make_set, planned, to_png

from vsmooth.data import Dataset, ImageSet, Paired, load_images, make_batches


def test_a_folder_of_images_at_any_depth(tmp_path: Path) -> None:
    images = make_images(3)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name, image in zip(("a.png", "deep/b.png", "deep/er/c.png"), images, strict=True):
        (tmp_path / name).write_bytes(to_png(image))
    found = load_images(tmp_path)
    assert isinstance(found, ImageSet)
    assert torch.equal(found.images, images)
    assert found.labels.tolist() == [-1, -1, -1]
    assert load_images(tmp_path, image_size=8).image_shape == (3, 8, 8)


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays(tmp_path: Path, kind: str, channels: int) -> None:
    images = make_images(4, channels)
    array = images[:, 0].numpy() if channels == 1 else images.permute(0, 2, 3, 1).numpy()
    path = tmp_path / f"x.{kind}"
    np.save(path, np.ascontiguousarray(array)) if kind == "npy" else np.savez_compressed(path, image=array.copy())
    found = load_images(path)
    assert isinstance(found, ImageSet)
    assert torch.equal(found.images, images)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_a_header_that_claims_too_much_takes_no_memory(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 32, 32, 3)}
    np.lib.format.write_array_header_1_0(buffer, header)
    path = tmp_path / f"x.{kind}"
    if kind == "npy":
        path.write_bytes(buffer.getvalue() + b"x" * 100)
    else:
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", buffer.getvalue() + b"x" * 100)
    with pytest.raises(ValueError, match=r"has a header of shape \(1000000000000, 32, 32, 3\), 3,072,.* but holds"):
        load_images(path)


def test_wrong_arrays_and_sources(tmp_path: Path) -> None:
    np.save(tmp_path / "float.npy", np.zeros((2, 4, 4, 3)))
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "names.npz", logits=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("float.npy", "must be uint8 of shape"),
        ("objects.npy", "must be uint8 of shape"),
        ("names.npz", "has no array named images, image, data: it has logits"),
        ("cut.npz", "is not a readable npz file"),
        ("empty", "has no images"),
        ("gone.npy", "is neither a folder of images nor"),
    ):
        with pytest.raises(ValueError, match=message):
            load_images(tmp_path / name)


def test_they_are_a_second_part_and_never_a_data_set(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", make_images(4).permute(0, 2, 3, 1).contiguous().numpy())
    outliers = load_images(tmp_path / "x.npy")
    paired = Paired(make_batches(make_set(6), *planned(3)), make_batches(outliers, *planned(2)))
    assert [batch.extra.labels.tolist() for batch in paired.epoch(0)] == [[-1, -1], [-1, -1]]
    with pytest.raises(ValueError, match=r"labels of the train split must be in 0\.\.2 \(3 classes\), got -1\.\.-1"):
        Dataset("toy", ("a", "b", "c"), outliers, make_set(6))
