"""Views that come again: what they depend on, and that nothing changes where they are not asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from data_builders import make_images, make_set, planned, write_photo_folder

from vsmooth.data import Augmentation, Batch, ImageSet, Mixing, load_dataset, make_batches
from vsmooth.data.storage.dataset import Split

RICH = Augmentation(2, rand_augment=(1, 5), erasing=0.5)
SIZE = 16


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Split:
    folder = write_photo_folder(tmp_path_factory.mktemp("photos"), train=4)
    return load_dataset(str(folder), image_size=SIZE).train


@pytest.fixture(params=["resident", "streamed"])
def split(request: pytest.FixtureRequest, streamed: Split) -> Split:
    return make_set(12, size=SIZE) if request.param == "resident" else streamed


def epoch_of(split: Split, epoch: int, batch_size: int = 4, start: int = 0, **options: Any) -> list[Batch]:
    settings: dict[str, Any] = {"shuffle": True, "augmentation": RICH, "views": 3}
    return list(make_batches(split, *planned(batch_size, **settings | options)).epoch(epoch, start))


def by_sample(batches: list[Batch]) -> torch.Tensor:
    """Images in the order of the split."""
    assert all(batch.view is not None for batch in batches)
    indices = torch.cat([batch.indices for batch in batches])
    assert indices.sort().values.tolist() == list(range(len(indices)))
    return torch.cat([batch.images for batch in batches])[indices.argsort()]


def test_an_epoch_shows_one_view_and_all_come_again(split: Split) -> None:
    views = [by_sample(epoch_of(split, epoch)) for epoch in range(7)]
    for epoch, view in enumerate(views):
        assert torch.equal(view, views[epoch % 3])
    assert len({tuple(view.flatten().tolist()) for view in views}) == 3
    assert [batch.view for batch in epoch_of(split, 7)] == [1, 1, 1]


@pytest.mark.parametrize("augmentation", [RICH, Augmentation(3), Augmentation(0, True)])
def test_a_view_depends_on_seed_number_and_sample_alone(split: Split, augmentation: Augmentation) -> None:
    expected = by_sample(epoch_of(split, 1, augmentation=augmentation))
    for options in ({"shuffle": False}, {"batch_size": 5}, {"batch_size": 12}):
        found = by_sample(epoch_of(split, 1, augmentation=augmentation, **options))
        assert torch.equal(found, expected)
    ranks = [epoch_of(split, 1, augmentation=augmentation, rank=rank, world_size=2) for rank in range(2)]
    assert torch.equal(by_sample(ranks[0] + ranks[1]), expected)
    assert torch.equal(by_sample(epoch_of(split, 4, augmentation=augmentation)), expected)
    assert not torch.equal(by_sample(epoch_of(split, 1, augmentation=augmentation, seed=1)), expected)


def test_resumed_epoch(split: Split) -> None:
    whole, late = epoch_of(split, 2), epoch_of(split, 2, start=1)
    for expected, found in zip(whole[1:], late, strict=True):
        assert torch.equal(expected.images, found.images)
        assert torch.equal(expected.indices, found.indices)


def test_labels_and_images_are_those_of_the_indices() -> None:
    split = make_set(12, size=SIZE)
    for batch in epoch_of(split, 0, augmentation=Augmentation(0, False)):
        assert batch.indices is not None
        assert torch.equal(split.labels[batch.indices], batch.labels)
        assert torch.equal(split.images[batch.indices], (batch.images * 255).round().to(torch.uint8))


def test_images_of_a_view_differ_in_their_augmentation() -> None:
    same = ImageSet(make_images(1, size=SIZE).expand(12, 3, SIZE, SIZE).contiguous(), torch.arange(12) % 3)
    view = by_sample(epoch_of(same, 0, augmentation=Augmentation(4)))
    assert len({tuple(image.flatten().tolist()) for image in view}) >= 9


def test_a_batch_stays_a_pair(split: Split) -> None:
    for batch in epoch_of(split, 0):
        images, labels = batch
        assert images is batch.images
        assert labels is batch.labels
    assert all(batch.view is None for batch in epoch_of(split, 0, views=None))
    fresh = [torch.cat([b.images for b in epoch_of(split, e, views=None, shuffle=False)]) for e in (0, 3)]
    assert not torch.equal(*fresh)


def test_mixing_still_differs_between_epochs() -> None:
    split = make_set(12, size=SIZE)
    options: dict[str, Any] = {"mixing": Mixing(mixup=1.0), "num_classes": 3, "shuffle": False}
    first, again = (torch.cat([b.images for b in epoch_of(split, e, **options)]) for e in (0, 3))
    assert not torch.equal(first, again)


@pytest.mark.parametrize("views", [0, -2])
def test_no_views(split: Split, views: int) -> None:
    with pytest.raises(ValueError, match=f"views must be at least 1, got {views}"):
        epoch_of(split, 0, views=views)
