"""Sets that stay encoded: what is checked when they are opened, and how single images are read."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import datasets
import pytest
import torch
from data_builders import (
    cut_off,
    make_dataset,
    make_images,
    serve,
    to_hub,
    to_png,
    write_parquet_folder,
    write_photo,
    write_photo_folder,
)
from torchvision.transforms import v2

from vsmooth.data import Dataset, FileSet, ImageSet, load_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_photo_folder(tmp_path / "photos")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSMOOTH_DATA", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


def open_streamed(folder: Path, image_size: int = 16, skip_broken: bool = False) -> tuple[Dataset, FileSet, FileSet]:
    dataset = load_dataset(str(folder), image_size=image_size, skip_broken=skip_broken)
    assert isinstance(dataset.train, FileSet)
    assert isinstance(dataset.test, FileSet)
    return dataset, dataset.train, dataset.test


def test_a_folder_of_images_of_any_size(folder: Path) -> None:
    dataset, train, test = open_streamed(folder)
    assert dataset.classes == ("class-0", "class-1", "class-2")
    assert dataset.image_shape == train.image_shape == test.image_shape == (3, 16, 16)
    assert train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert train.name(5) == str(folder / "train" / "class-1" / "01.JPEG")
    assert train.read(5).pixels.shape == (3, 17, 21)
    assert train.read(5).place == 5


def test_parquet_files_and_the_hub_give_the_very_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = make_dataset()
    write_parquet_folder(tmp_path / "set", written)
    _, from_files, _ = open_streamed(tmp_path / "set", 8)
    assert isinstance(written.train, ImageSet)
    on_the_hub = [to_hub(part, written.classes) for part in (written.train, written.test)]
    serve(monkeypatch, train=on_the_hub[0], test=on_the_hub[1])
    from_hub = load_dataset("hub:a/b", image_size=8)
    assert from_hub.classes == written.classes
    for split in (from_files, from_hub.train):
        assert isinstance(split, FileSet)
        assert split.labels.tolist() == written.train.labels.tolist()
        for index, image in enumerate(written.train.images):
            assert torch.equal(split.read(index).pixels, image)


def test_parquet_of_plain_bytes_without_names(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = make_images(6)
    for split in ("train", "test"):
        columns = {"img": [to_png(image) for image in images], "label": [0, 1, 2, 0, 1, 2]}
        pq.write_table(pa.table(columns), tmp_path / f"{split}.parquet")
    dataset, train, _ = open_streamed(tmp_path, 8)
    assert dataset.classes == ("0", "1", "2")
    assert torch.equal(train.read(4).pixels, images[4])


def test_parquet_files_that_changed_are_read_again(tmp_path: Path) -> None:
    first = write_parquet_folder(tmp_path / "set", make_dataset())
    one, _, _ = open_streamed(first, 8)
    write_parquet_folder(tmp_path / "set", make_dataset(train=9))
    other, train, _ = open_streamed(first, 8)
    assert len(train) == 9
    assert other.fingerprint != one.fingerprint


def test_damage_inside_a_parquet_file_is_named(tmp_path: Path) -> None:
    path = write_parquet_folder(tmp_path / "set", make_dataset()) / "train.parquet"
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path} cannot be turned into Arrow files: \w+"):
        open_streamed(tmp_path / "set", 8)


def test_grey_and_transparent_images_become_rgb(folder: Path) -> None:
    write_photo(folder / "train" / "class-0" / "00.png", mode="L")
    write_photo(folder / "train" / "class-0" / "02.png", mode="RGBA")
    _, train, _ = open_streamed(folder)
    for index in (0, 2):
        assert train.read(index).pixels.shape == (3, 16, 20)
    assert torch.equal(train.read(0).pixels[0], train.read(0).pixels[2])


def test_a_subset_and_its_subset(folder: Path) -> None:
    _, train, _ = open_streamed(folder)
    part = train.subset(torch.tensor([9, 1, 4])).subset(torch.tensor([0, 2]))
    assert part.labels.tolist() == [2, 1]
    assert [part.name(index) for index in range(2)] == [train.name(9), train.name(4)]
    assert torch.equal(part.read(1).pixels, train.read(4).pixels)


def test_validation_and_limits_work_as_on_resident_sets(folder: Path) -> None:
    dataset, train, _ = open_streamed(folder)
    rest, validation = dataset.split_validation(0.25, seed=0)
    assert validation.labels.tolist() == [0, 1, 2]
    assert isinstance(rest, FileSet)
    assert isinstance(validation, FileSet)
    names = [part.name(index) for part in (rest, validation) for index in range(len(part))]
    assert sorted(names) == sorted(train.name(index) for index in range(12))
    assert dataset.limited(6).train.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_it_travels_to_another_process(folder: Path, tmp_path: Path) -> None:
    write_parquet_folder(tmp_path / "table", make_dataset())
    for source, size in ((folder, 16), (tmp_path / "table", 8)):
        _, train, _ = open_streamed(source, size)
        copy = pickle.loads(pickle.dumps(train))
        assert torch.equal(copy.read(3).pixels, train.read(3).pixels)
        assert copy.labels.tolist() == train.labels.tolist()


def test_fingerprint_knows_names_sizes_labels_contents_and_the_crop(folder: Path) -> None:
    dataset, train, _ = open_streamed(folder)
    content = b'["class-0", "class-1", "class-2"]'
    for part, place in ((train, folder / "train"), (dataset.test, folder / "val")):
        files = sorted(path.relative_to(place) for path in place.glob("*/*"))
        sizes = torch.tensor([(place / file).stat().st_size for file in files])
        content += str((len(files), 3, 16, 16)).encode() + b"\0".join(str(file).encode() for file in files)
        content += sizes.numpy().tobytes() + part.labels.numpy().tobytes()
        content += b"".join(hashlib.blake2b((place / file).read_bytes(), digest_size=16).digest() for file in files)
    assert dataset.fingerprint == hashlib.sha256(content).hexdigest()[:16]
    assert open_streamed(folder, 15)[0].fingerprint != dataset.fingerprint
    (folder / "train" / "class-0" / "00.png").rename(folder / "train" / "class-0" / "0.png")
    assert open_streamed(folder)[0].fingerprint != dataset.fingerprint


def test_statistics_are_those_of_the_centre_crops(folder: Path) -> None:
    dataset, train, _ = open_streamed(folder)
    crop = v2.Compose([v2.Resize(18), v2.CenterCrop(16)])
    pixels = torch.stack([crop(train.read(index).pixels) for index in range(12)]).double() / 255
    std, mean = torch.std_mean(pixels, dim=(0, 2, 3), correction=0)
    assert dataset.channel_statistics() == (pytest.approx(mean.tolist()), pytest.approx(std.tolist()))


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1"])
def test_what_is_no_image_is_found_before_training(folder: Path, content: bytes) -> None:
    bad = folder / "val" / "class-1" / "00.png"
    bad.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{bad} (is missing, empty or|cannot be read).*--skip-broken"):
        open_streamed(folder)
    dataset, _, test = open_streamed(folder, skip_broken=True)
    assert dataset.skipped == (str(bad),)
    assert test.labels.tolist() == [0, 0, 1, 2, 2]


def test_a_dangling_link(folder: Path) -> None:
    (folder / "train" / "class-2" / "zz.png").symlink_to(folder / "gone.png")
    with pytest.raises(ValueError, match=r"zz\.png is missing, empty or not a regular file"):
        open_streamed(folder)


def test_an_image_that_is_cut_off_is_found_when_it_is_read(folder: Path) -> None:
    bad = cut_off(folder / "train" / "class-1" / "01.JPEG")
    _, train, _ = open_streamed(folder)
    with pytest.raises(ValueError, match=rf"{bad} cannot be read as an image: .*--skip-broken"):
        train.read(5)
    _, patient, _ = open_streamed(folder, skip_broken=True)
    sample = patient.read(5)
    assert (sample.place, sample.broken) == (6, (5,))
    assert torch.equal(sample.pixels, patient.read(6).pixels)
    assert torch.equal(patient.subset(torch.tensor([0, 5])).read(1).pixels, patient.read(0).pixels)  # around the end


def test_nothing_can_be_read(folder: Path) -> None:
    for path in (folder / "train").glob("*/*"):
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"none of the 12 images can be read; the first is .*00\.png"):
        open_streamed(folder, skip_broken=True)


def test_all_are_cut_off(folder: Path) -> None:
    for path in (folder / "train").glob("*/*"):
        cut_off(path)
    _, train, _ = open_streamed(folder, skip_broken=True)
    with pytest.raises(ValueError, match=r"none of the 12 images can be read; the first is [^;]*$"):
        train.read(3)


def test_images_smaller_than_the_crop(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"12 of 12 images are smaller than the crop of 64x64 pixels .*18x16\); use"):
        open_streamed(folder, 64)
    # A few small ones are in every large set.
    write_photo(folder / "train" / "class-0" / "00.png", 5, 5)
    _, train, _ = open_streamed(folder)
    assert train.read(0).pixels.shape == (3, 5, 5)


def test_broken_rows_of_a_table(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    good = to_png(make_images(1)[0])
    contents = [good, None, good[:30], good, good]
    cells = [*({"bytes": content, "path": "gone.png"} for content in contents), None]
    image = pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.table({"image": image, "label": [0, 1, 2, 0, 1, 2]})
    for split in ("train", "test"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    for image_size in (None, 8):
        with pytest.raises(ValueError, match=r"train\.parquet, row 1 (has no image bytes|is missing, empty)"):
            load_dataset(str(tmp_path), image_size=image_size)
        dataset = load_dataset(str(tmp_path), image_size=image_size, skip_broken=True)
        assert dataset.train.labels.tolist() == [0, 0, 1]
        assert [name.rpartition(" ")[2] for name in dataset.skipped] == ["1", "2", "5"] * 2
        assert dataset.skipped[0] == f"{tmp_path}/train.parquet, row 1"
        assert dataset.left_out == dataset.skipped


def test_broken_images_of_a_resident_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in range(2):
            for index in range(2):
                write_photo(tmp_path / split / f"c{label}" / f"{index}.png", 8, 8, index)
    bad = tmp_path / "train" / "c0" / "0.png"
    bad.write_bytes(b"x")
    dataset = load_dataset(str(tmp_path), skip_broken=True)
    assert dataset.skipped == (str(bad),)
    assert dataset.train.labels.tolist() == [0, 1, 1]
    (tmp_path / "train" / "c0" / "1.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="every train image is of class 'c1'"):
        load_dataset(str(tmp_path), skip_broken=True)


def test_sixteen_bits_are_refused_in_streams_too(folder: Path) -> None:
    from PIL import Image

    deep = folder / "train" / "class-0" / "00.png"
    Image.new("I;16", (20, 20), 40000).save(deep)
    for skip_broken in (False, True):
        with pytest.raises(ValueError, match=rf"{deep} has more than 8 bits per pixel"):
            open_streamed(folder, skip_broken=skip_broken)


def test_an_empty_set_is_refused(folder: Path) -> None:
    _, train, _ = open_streamed(folder)
    with pytest.raises(ValueError, match="no images; a set needs at least one"):
        train.subset(torch.tensor([], dtype=torch.int64))
