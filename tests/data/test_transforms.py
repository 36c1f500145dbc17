"""Resized crop, RandAugment, erasing: image by image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from data_builders import make_images, make_photo, make_set, planned
from torchvision.transforms import v2

from vsmooth.data import NO_AUGMENTATION, Augmentation, Batches, ImageSet
from vsmooth.data.transforms import evaluation_transform, seeded, streamed_transform

QUIET = {"crop_padding": 0, "flip": False}


def make_batches(split: ImageSet, augmentation: Augmentation, **options: Any) -> Batches:
    return Batches(split, *planned(4, augmentation=augmentation, **options))


def views_of(split: ImageSet, augmentation: Augmentation, epoch: int = 0, **options: Any) -> torch.Tensor:
    found = list(make_batches(split, augmentation, **options).epoch(epoch))
    return (torch.cat([batch.images for batch in found]) * 255).round().to(torch.uint8)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(**QUIET, rand_augment=(2, 9)),
        Augmentation(**QUIET, resized_crop=(0.2, 0.9)),
        Augmentation(**QUIET, erasing=1.0),
        Augmentation(2, True, "zeros", rand_augment=(1, 5), erasing=0.5),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_varied_by_image_and_epoch_and_the_same_again(augmentation: Augmentation, channels: int) -> None:
    same = ImageSet(make_images(1, channels, 16).expand(8, channels, 16, 16).contiguous(), torch.arange(8) % 2)
    one, other = views_of(same, augmentation), views_of(same, augmentation, epoch=1)
    assert len({tuple(view.flatten().tolist()) for view in torch.cat([one, other])}) >= 10
    assert torch.equal(one, views_of(same, augmentation))
    assert not torch.equal(one, views_of(same, augmentation, seed=1))


def test_ranks_resumption_and_order_do_not_change_a_view() -> None:
    split, augmentation = make_set(12, size=16), Augmentation(2, rand_augment=(2, 9), erasing=0.5)
    whole = views_of(split, augmentation)
    parts = [views_of(split, augmentation, rank=rank, world_size=2) for rank in range(2)]
    joined = torch.cat([torch.cat(pair) for pair in zip(parts[0].split(2), parts[1].split(2), strict=True)])
    assert torch.equal(whole, joined)
    late = list(make_batches(split, augmentation).epoch(0, start=2))
    assert torch.equal((late[0].images * 255).round().to(torch.uint8), whole[8:])


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    split, augmentation = make_set(4, size=16), Augmentation(rand_augment=(2, 9), erasing=0.5)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = views_of(split, augmentation)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(views_of(split, augmentation), one)


def test_erasing_paints_one_black_rectangle() -> None:
    white = ImageSet(torch.full((40, 3, 16, 16), 255, dtype=torch.uint8), torch.arange(40) % 2)
    for view in views_of(white, Augmentation(**QUIET, erasing=1.0)):
        black = view[0] == 0
        assert set(view.unique().tolist()) <= {0, 255}
        assert all(torch.equal(black, channel == 0) for channel in view)
        rows, columns = black.any(1).nonzero(), black.any(0).nonzero()
        area = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        assert black.sum() == area  # a full rectangle
        assert 0.01 < area / 256 < 0.4
    erased = (views_of(white, Augmentation(**QUIET, erasing=0.3)) == 0).any(dim=(1, 2, 3))
    assert 4 <= erased.sum() <= 22


def test_a_resized_crop_of_everything_is_the_image() -> None:
    split = make_set(8, size=16)
    whole = views_of(split, Augmentation(**QUIET, resized_crop=(1.0, 1.0)))
    assert torch.equal(whole, split.images)
    flipped = views_of(split, Augmentation(0, True, resized_crop=(1.0, 1.0)))
    kinds = [bool(torch.equal(view, image)) for view, image in zip(flipped, split.images, strict=True)]
    mirrored = [bool(torch.equal(view, image.flip(2))) for view, image in zip(flipped, split.images, strict=True)]
    assert [one != other for one, other in zip(kinds, mirrored, strict=True)] == [True] * 8
    assert any(kinds)
    assert any(mirrored)


def test_rand_augment_is_that_of_torchvision() -> None:
    image = v2.functional.pil_to_tensor(make_photo(32, 32))
    reference = v2.RandAugment(2, 9, interpolation=v2.InterpolationMode.BILINEAR)
    view = streamed_transform(Augmentation(**QUIET, resized_crop=(1.0, 1.0), rand_augment=(2, 9)), 32)
    for seed in range(10):
        torch.manual_seed(seed)
        v2.RandomResizedCrop(32, scale=(1.0, 1.0))(image)  # draws before RandAugment does
        expected = v2.functional.pil_to_tensor(reference(v2.functional.to_pil_image(image)))
        assert torch.equal(seeded(view, image, seed), expected)


@pytest.mark.parametrize(("width", "height"), [(40, 30), (30, 40), (16, 16), (200, 17)])
def test_evaluation_transform_against_pillow(width: int, height: int) -> None:
    photo = make_photo(width, height)
    scale = 32 / min(width, height)  # 28 / 0.875
    resized = photo.resize((int(width * scale), int(height * scale)), 2)
    left, top = round((resized.width - 28) / 2), round((resized.height - 28) / 2)
    expected = v2.functional.pil_to_tensor(resized.crop((left, top, left + 28, top + 28)))
    found = evaluation_transform(28)(v2.functional.pil_to_tensor(photo))
    assert found.shape == (3, 28, 28)
    assert (found.int() - expected.int()).abs().max() <= 2


def test_padded_crop_of_a_streamed_image_is_within_reach_of_the_evaluation_transform() -> None:
    image = v2.functional.pil_to_tensor(make_photo(40, 32))
    whole = evaluation_transform(28)(image)
    padded = torch.nn.functional.pad(whole, (2, 2, 2, 2))
    windows = [padded[:, y : y + 28, x : x + 28] for y in range(5) for x in range(5)]
    view = streamed_transform(Augmentation(2, False, "zeros"), 28)
    for seed in range(20):
        found = seeded(view, image, seed)
        assert any(torch.equal(found, window) for window in windows)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"erasing": 1.5}, r"erasing must be a probability in 0\.\.1, got 1\.5"),
        ({"resized_crop": (0.0, 1.0), "crop_padding": 0}, r"0 < low <= high <= 1.*got \(0\.0, 1\.0\)"),
        ({"resized_crop": (0.5,), "crop_padding": 0}, r"resized_crop must be two shares"),
        ({"resized_crop": (0.08, 1.0)}, r"crop_padding=4 are two kinds of crop; set crop_padding=0"),
        ({"rand_augment": (0, 9)}, r"operations \(1 or more\).*got \(0, 9\)"),
        ({"rand_augment": (2, 31)}, r"magnitude \(0\.\.30\).*got \(2, 31\)"),
    ],
)
def test_augmentation_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**values)


def test_lists_of_a_record_become_tuples() -> None:
    made = Augmentation(crop_padding=0, resized_crop=[0.08, 1.0], rand_augment=[2, 9])  # type: ignore[arg-type]
    assert made == Augmentation(crop_padding=0, resized_crop=(0.08, 1.0), rand_augment=(2, 9))
    assert hash(made)
    assert made != NO_AUGMENTATION
