from __future__ import annotations

from typing import Any

import pytest
import torch
from data_builders import make_images, make_set, planned

from vsmooth.data import Augmentation, Batch, Batches, ImageSet


def make_batches(split: ImageSet, batch_size: int = 4, **options: Any) -> Batches:
    return Batches(split, *planned(batch_size, **({"shuffle": True} | options)))


def numbered(count: int) -> ImageSet:
    """Image i is filled with the value i."""
    values = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1).expand(count, 1, 6, 6).contiguous()
    return ImageSet(values, torch.arange(count))


def assert_same(one: list[Batch], other: list[Batch]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left.images, right.images)
        assert torch.equal(left.labels, right.labels)


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_steps_and_sizes(drop_last: bool, sizes: list[int]) -> None:
    batches = make_batches(numbered(10), drop_last=drop_last)
    assert len(batches) == len(sizes)
    assert [len(batch.labels) for batch in batches.epoch(0)] == sizes


def test_without_shuffle_the_order_is_kept_and_pixels_are_exact() -> None:
    split = make_set(10)
    found = list(make_batches(split, shuffle=False).epoch(3))
    images = torch.cat([batch.images for batch in found])
    assert torch.equal(images, split.images.float() / 255)
    assert images.dtype == torch.float32
    assert torch.equal(torch.cat([batch.labels for batch in found]), split.labels)


def test_shuffle_visits_every_sample_once_in_an_order_of_its_own() -> None:
    batches = make_batches(numbered(50))
    orders = [torch.cat([batch.labels for batch in batches.epoch(epoch)]).tolist() for epoch in (0, 1, 0)]
    assert sorted(orders[0]) == list(range(50))
    assert orders[0] != orders[1]
    assert orders[0] == orders[2]
    other = make_batches(numbered(50), seed=1).epoch(0)
    assert torch.cat([batch.labels for batch in other]).tolist() != orders[0]


def test_images_and_labels_stay_together() -> None:
    for batch in make_batches(numbered(50), augmentation=Augmentation(2)).epoch(0):
        values = (batch.images * 255).round().long()
        assert torch.equal(values.amax(dim=(1, 2, 3)), batch.labels)
        assert torch.equal(values.amin(dim=(1, 2, 3)), batch.labels)


@pytest.mark.parametrize("start", [0, 1, 5, 8])
def test_resuming_gives_the_same_batches(start: int) -> None:
    batches = make_batches(make_set(32), augmentation=Augmentation(2))
    assert_same(list(batches.epoch(2))[start:], list(batches.epoch(2, start=start)))


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize(("batch_size", "drop_last"), [(12, True), (12, False), (7, False)])
def test_ranks_together_see_the_global_batch(world_size: int, batch_size: int, drop_last: bool) -> None:
    options: dict[str, Any] = {"augmentation": Augmentation(2), "drop_last": drop_last, "seed": 7}
    split = make_set(31)
    alone = list(make_batches(split, batch_size, **options).epoch(1))
    ranks = [
        list(make_batches(split, batch_size, rank=rank, world_size=world_size, **options).epoch(1))
        for rank in range(world_size)
    ]
    joined = [
        Batch(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))
        for parts in zip(*ranks, strict=True)
    ]
    assert_same(alone, joined)


def test_augmentation_differs_between_steps_epochs_and_seeds() -> None:
    same = ImageSet(make_images(1, size=16).expand(8, 3, 16, 16).contiguous(), torch.arange(8) % 2)
    epochs = [(0, 0), (0, 1), (1, 0)]
    views = [
        batch.images
        for seed, epoch in epochs
        for batch in make_batches(same, seed=seed, augmentation=Augmentation(4)).epoch(epoch)
    ]
    assert len({tuple(view.flatten().tolist()) for view in views}) == 6


def test_global_generators_are_neither_read_nor_moved() -> None:
    batches = make_batches(make_set(8), augmentation=Augmentation(2))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = list(batches.epoch(0))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert_same(one, list(batches.epoch(0)))


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_channels_last_changes_the_layout_only(channels: int, size: int) -> None:
    split = make_set(8, channels, size)
    plain = list(make_batches(split, augmentation=Augmentation()).epoch(0))
    strided = list(make_batches(split, augmentation=Augmentation(), channels_last=True).epoch(0))
    assert_same(plain, strided)
    assert all(batch.images.is_contiguous(memory_format=torch.channels_last) for batch in strided)
    assert all(batch.images.min() >= 0 and batch.images.max() <= 1 for batch in plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 11, "drop_last": True}, "batch_size 11 is larger than the split of 10 images"),
        ({"rank": 2, "world_size": 2}, r"rank must be in 0\.\.world_size-1, got rank 2 of 2"),
        (
            {"batch_size": 5, "drop_last": True, "world_size": 2},
            "batch_size 5 must be a multiple of the 2 ranks; use 6",
        ),
        (
            {"augmentation": Augmentation(6)},
            "crop_padding=6 does not fit images of 6x6 pixels; use at most 5",
        ),
    ],
)
def test_bad_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_batches(numbered(10), **options)


@pytest.mark.parametrize("start", [-1, 4])
def test_start_outside_the_epoch(start: int) -> None:
    with pytest.raises(ValueError, match=rf"start must be a step in 0\.\.3 of the epoch, got {start}"):
        make_batches(numbered(10)).epoch(0, start=start)
