"""Streamed batches: the same contract as batches from memory, with and without workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from data_builders import cut_off, make_images, make_photo, planned, write_photo, write_photo_folder
from torchvision.transforms.v2 import functional

from vsmooth.data import (
    NO_AUGMENTATION,
    Augmentation,
    Batch,
    Batches,
    FileSet,
    ImageSet,
    Mixing,
    StreamedBatches,
    load_dataset,
    make_batches,
)

SIZE = 16
STRONG = Augmentation(0, True, resized_crop=(0.2, 1.0), rand_augment=(2, 9), erasing=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photo_folder(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def train(folder: Path) -> FileSet:
    """12 images of three classes."""
    return open_train(folder)


def open_train(folder: Path, skip_broken: bool = False) -> FileSet:
    split = load_dataset(str(folder), image_size=SIZE, skip_broken=skip_broken).train
    assert isinstance(split, FileSet)
    return split


def stream(split: FileSet, batch_size: int = 5, **options: Any) -> StreamedBatches:
    return StreamedBatches(split, *planned(batch_size, **{"shuffle": True} | options))


def assert_same(one: list[Batch], other: list[Batch]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left.images, right.images)
        assert torch.equal(left.labels, right.labels)


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [5, 5, 2]), (True, [5, 5])])
def test_steps_sizes_and_types(train: FileSet, drop_last: bool, sizes: list[int]) -> None:
    batches = stream(train, drop_last=drop_last, augmentation=STRONG)
    found = list(batches.epoch(0))
    assert len(batches) == len(sizes)
    assert [len(batch.labels) for batch in found] == sizes
    for batch in found:
        assert batch.images.dtype == torch.float32
        assert batch.images.shape[1:] == (3, SIZE, SIZE)
        assert batch.images.min() >= 0
        assert batch.images.max() <= 1
        assert batch.labels.dtype == torch.int64


def test_without_shuffle_the_order_is_kept(train: FileSet, folder: Path) -> None:
    found = list(stream(train, shuffle=False).epoch(3))
    assert torch.cat([batch.labels for batch in found]).tolist() == train.labels.tolist()
    # The first file is 18x16: resized to 20x18, its centre of 16x16 cut out.
    photo = functional.pil_to_tensor(make_photo(18, 16))
    expected = functional.center_crop(functional.resize(photo, [18]), [16, 16])
    assert torch.equal((found[0].images[0] * 255).round().to(torch.uint8), expected)


def test_images_and_labels_stay_together(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in range(4):
            for index in range(3):
                path = write_photo(tmp_path / split / f"c{label}" / f"{index}.png")
                functional.to_pil_image(torch.full((3, 20, 20), 60 * label, dtype=torch.uint8)).save(path)
    dataset = load_dataset(str(tmp_path), image_size=SIZE)
    assert isinstance(dataset.train, FileSet)
    augmentation = Augmentation(0, True, resized_crop=(0.2, 1.0))
    for batch in stream(dataset.train, augmentation=augmentation).epoch(0):
        levels = (batch.images * 255).round().long()
        assert torch.equal(levels.amax(dim=(1, 2, 3)), 60 * batch.labels)
        assert torch.equal(levels.amin(dim=(1, 2, 3)), 60 * batch.labels)


def test_the_order_is_that_of_batches_in_memory(train: FileSet) -> None:
    in_memory = ImageSet(make_images(12), train.labels)
    options: dict[str, Any] = {"shuffle": True, "seed": 4}
    for epoch in range(2):
        expected = [batch.labels for batch in Batches(in_memory, *planned(5, **options)).epoch(epoch)]
        found = [batch.labels for batch in stream(train, seed=4).epoch(epoch)]
        assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


def test_workers_change_nothing_and_stay_between_epochs(train: FileSet) -> None:
    alone, helped = stream(train, augmentation=STRONG), stream(train, augmentation=STRONG, workers=2)
    for epoch in (0, 1):
        assert_same(list(alone.epoch(epoch)), list(helped.epoch(epoch)))
        assert len(multiprocessing.active_children()) == 2
    # Left in the middle, then begun again at a step: what was fetched ahead is dropped.
    next(helped.epoch(2))
    assert_same(list(alone.epoch(3, start=1)), list(helped.epoch(3, start=1)))
    helped.close()
    assert not multiprocessing.active_children()
    assert_same(list(alone.epoch(0))[:1], [next(helped.epoch(0))])
    helped.close()


def test_workers_end_with_their_batches(train: FileSet) -> None:
    batches = stream(train, workers=1)
    list(batches.epoch(0))
    assert len(multiprocessing.active_children()) == 1
    del batches
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("start", [0, 1, 3])
def test_resuming_gives_the_same_batches(train: FileSet, start: int) -> None:
    batches = stream(train, augmentation=STRONG)
    assert_same(list(batches.epoch(2))[start:], list(batches.epoch(2, start=start)))


@pytest.mark.parametrize(("batch_size", "world_size"), [(6, 2), (5, 2), (7, 3)])
def test_ranks_together_see_the_global_batch(train: FileSet, batch_size: int, world_size: int) -> None:
    options: dict[str, Any] = {"augmentation": STRONG, "seed": 7}
    whole = list(stream(train, batch_size, **options).epoch(1))
    ranks = [
        list(stream(train, batch_size, rank=rank, world_size=world_size, **options).epoch(1))
        for rank in range(world_size)
    ]
    joined = [
        Batch(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))
        for parts in zip(*ranks, strict=True)
    ]
    assert_same(whole, joined)


def test_an_empty_share(train: FileSet) -> None:
    last = list(stream(train.subset(torch.arange(6)), rank=0, world_size=2).epoch(0))[1]
    assert last.images.shape == (0, 3, SIZE, SIZE)
    assert last.labels.shape == (0,)


def test_augmentation_differs_between_epochs_and_seeds(train: FileSet) -> None:
    same = train.subset(torch.zeros(1, dtype=torch.int64))
    views = [
        next(stream(same, 1, augmentation=STRONG, seed=seed).epoch(epoch)).images
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len({tuple(view.flatten().tolist()) for view in views}) == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_global_generators_are_neither_read_nor_moved(train: FileSet, workers: int) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = list(stream(train, augmentation=STRONG, workers=workers).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert_same(one, list(stream(train, augmentation=STRONG).epoch(0)))


def test_mixed_labels(train: FileSet) -> None:
    found = list(stream(train, num_classes=3, mixing=Mixing(0.8), channels_last=True).epoch(0))
    assert [batch.labels.shape for batch in found] == [(5, 3), (5, 3), (2, 3)]
    for batch in found:
        torch.testing.assert_close(batch.labels.sum(1), torch.ones(len(batch.labels)))
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
    again = list(stream(train, num_classes=3, mixing=Mixing(0.8)).epoch(0, start=2))
    assert_same(found[2:], again)


def test_make_batches_takes_either_kind(train: FileSet) -> None:
    assert isinstance(make_batches(train, *planned(4)), StreamedBatches)
    resident = ImageSet(make_images(8), torch.arange(8) % 2)
    made = make_batches(resident, *planned(4, workers=3))
    assert isinstance(made, Batches)
    assert_same(list(made.epoch(0)), list(Batches(resident, *planned(4)).epoch(0)))
    assert (made.batch_size, made.seed, len(made)) == (4, 0, 2)
    mixed = make_batches(resident, *planned(4, num_classes=2, mixing=Mixing(cutmix=1.0), augmentation=STRONG))
    assert next(mixed.epoch(0)).labels.shape == (4, 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_named_in_the_middle_of_an_epoch(tmp_path: Path, workers: int) -> None:
    bad = cut_off(write_photo_folder(tmp_path) / "train" / "class-1" / "03.JPEG")
    steps = stream(open_train(tmp_path), shuffle=False, workers=workers).epoch(0)
    next(steps)
    with pytest.raises(ValueError, match=rf"^{bad} cannot be read as an image: [^\n]*--skip-broken[^\n]*$"):
        next(steps)


@pytest.mark.parametrize("workers", [0, 1])
def test_skip_broken_takes_the_next_and_counts(tmp_path: Path, workers: int) -> None:
    train_folder = write_photo_folder(tmp_path) / "train"
    bad = [cut_off(train_folder / name) for name in ("class-1/03.JPEG", "class-2/00.png")]
    dataset = load_dataset(str(tmp_path), image_size=SIZE, skip_broken=True)
    assert isinstance(dataset.train, FileSet)
    rest = dataset.train.subset(torch.arange(1, 12))  # as a training does: the data set hears of it
    batches = stream(rest, 11, shuffle=False, workers=workers)
    for epoch in range(2):
        batch = next(batches.epoch(epoch))
        assert batch.labels.tolist() == [0] * 3 + [1] * 3 + [2] + [2] * 4  # 03.JPEG gave way to class-2/01.JPEG
        assert torch.equal(batch.images[6], batch.images[8])
        assert torch.equal(batch.images[7], batch.images[8])
        assert dataset.skipped == tuple(str(path) for path in bad)
    batches.close()


def test_an_older_epoch_ends_where_a_newer_begins(train: FileSet) -> None:
    batches = stream(train)
    older, newer = batches.epoch(0), batches.epoch(1)
    next(older)
    next(newer)
    with pytest.raises(RuntimeError, match="ends where the next begins: use one object for each"):
        next(older)
    batches.close()
    with pytest.raises(RuntimeError, match="ends where the next begins"):
        next(newer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 13, "drop_last": True}, "batch_size 13 is larger than the split of 12 images"),
        ({"augmentation": Augmentation(16)}, "crop_padding=16 does not fit images of 16x16 pixels; use at most 15"),
        ({"mixing": Mixing(0.8)}, "makes labels over K classes; give num_classes"),
        ({"workers": -1}, r"workers must be 0 \(none\) or more, got -1"),
    ],
)
def test_bad_settings(train: FileSet, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stream(train, **options)


@pytest.mark.parametrize("start", [-1, 4])
def test_start_outside_the_epoch(train: FileSet, start: int) -> None:
    with pytest.raises(ValueError, match=rf"start must be a step in 0\.\.3 of the epoch, got {start}"):
        stream(train, augmentation=NO_AUGMENTATION).epoch(0, start=start)


def test_workers_are_as_many_as_cores_and_steps(train: FileSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    assert stream(train, 1, workers=None).workers == 8
    assert stream(train, 6, workers=None).workers == 2
    assert stream(train, 1, workers=None, world_size=4).workers == 2
    assert stream(train, 1, workers=None, world_size=12).workers == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert stream(train, 1, workers=None, world_size=4).workers == 4


# As a training does: the signals are held back, the step is finished, and then it stops.
HOLD_SIGNALS = """
import multiprocessing, signal, sys
from vsmooth.data import BatchPlan, Placement, load_dataset, make_batches
split = load_dataset(sys.argv[1], image_size=16).train
batches = make_batches(split, BatchPlan(2, shuffle=True, drop_last=True), Placement("cpu", workers=2))
list(batches.epoch(0))
held = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda received, _: held.append(received))
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
while len(held) < 2:
    list(batches.epoch(1))
list(batches.epoch(2))
print("stopped by the parent", file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals a process group")
def test_signals_to_the_group_are_left_to_the_parent(folder: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", HOLD_SIGNALS, str(folder)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        assert process.stdout is not None
        children = [int(number) for number in process.stdout.readline().split()]
        for number in (signal.SIGINT, signal.SIGTERM):
            os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
    assert len(children) == 2
    assert errors == "stopped by the parent\n"
    assert process.returncode == 0
    for _ in range(100):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.1)
    pytest.fail(f"the workers {children} outlive their parent")
