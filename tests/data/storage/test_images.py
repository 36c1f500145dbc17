from __future__ import annotations

import hashlib

import pytest
import torch
from data_builders import make_dataset, make_images, make_set

from vsmooth.data import Dataset, ImageSet


def labels(*values: int) -> torch.Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (torch.rand(2, 3, 4, 4), labels(0, 1), r"images must be uint8 in 0\.\.255, got float32; .*round"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), labels(0, 1), r"must be \(N, C, H, W\).*\(2, 4, 4\)"),
        (torch.zeros(2, 4, 4, 4, dtype=torch.uint8), labels(0, 1), r"C = 1 or 3, got shape \(2, 4, 4, 4\)"),
        (torch.zeros(0, 3, 4, 4, dtype=torch.uint8), labels(), "images are empty"),
        (make_images(2), labels(0, 1).int(), r"labels must be int64 class indices, got int32"),
        (make_images(2), labels(0, 1, 2), r"2 images need labels of shape \(2,\), got \(3,\)"),
    ],
)
def test_image_set_refuses(images: torch.Tensor, targets: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageSet(images, targets)


def test_subset_keeps_the_given_order() -> None:
    split = make_set(6)
    part = split.subset(labels(4, 1))
    assert part.labels.tolist() == [1, 1]
    assert torch.equal(part.images, split.images[[4, 1]])
    assert len(part) == 2


@pytest.mark.parametrize(
    ("classes", "train", "test", "message"),
    [
        (("a",), make_set(4, classes=1), make_set(4, classes=1), r"toy: .* at least 2 classes, got \['a'\]"),
        (("a", "b", "a"), make_set(6), make_set(6), r"class names must differ, but \['a'\]"),
        (("a", "b"), make_set(6), make_set(4, classes=2), r"train split must be in 0\.\.1 .*got 0\.\.2"),
        (("a", "b"), make_set(6, classes=2), make_set(6), r"test split must be in 0\.\.1 .*got 0\.\.2"),
        (("a", "b"), make_set(4, classes=1), make_set(4, classes=2), r"every train image is of class 'a'"),
        (("a", "b", "c"), make_set(6), make_set(6, size=9), r"train images are \(3, 8, 8\).*\(3, 9, 9\)"),
        (("a", "b", "c"), make_set(6), make_set(6, channels=1), r"test images are \(1, 8, 8\)"),
    ],
)
def test_dataset_refuses(classes: tuple[str, ...], train: ImageSet, test: ImageSet, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dataset("toy", classes, train, test)


def test_negative_labels_are_refused() -> None:
    bad = ImageSet(make_images(2), labels(-1, 1))
    with pytest.raises(ValueError, match=r"got -1\.\.1"):
        Dataset("toy", ("a", "b"), bad, make_set(4, classes=2))


def test_shape_and_class_count() -> None:
    dataset = make_dataset(channels=1, size=5)
    assert dataset.num_classes == 3
    assert dataset.image_shape == (1, 5, 5)


def test_channel_statistics_by_hand() -> None:
    images = torch.tensor([0, 255, 51, 51], dtype=torch.uint8).view(2, 1, 1, 2)
    dataset = Dataset("toy", ("a", "b"), ImageSet(images, labels(0, 1)), ImageSet(images, labels(0, 1)))
    mean, std = dataset.channel_statistics()
    # values 0, 1, .2, .2: mean .35, E[x^2] = 1.08 / 4 = .27, variance .27 - .1225
    assert mean == pytest.approx((0.35,))
    assert std == pytest.approx((0.1475**0.5,))


def test_channel_statistics_against_torch_over_several_chunks() -> None:
    dataset = make_dataset(train=2500, size=3)
    std, mean = torch.std_mean(dataset.train.images.double() / 255, dim=(0, 2, 3), correction=0)
    assert dataset.channel_statistics() == (pytest.approx(mean.tolist()), pytest.approx(std.tolist()))


def test_a_constant_channel_never_divides_by_zero() -> None:
    grey = ImageSet(torch.full((2, 1, 2, 2), 7, dtype=torch.uint8), labels(0, 1))
    mean, std = Dataset("toy", ("a", "b"), grey, grey).channel_statistics()
    assert mean == pytest.approx((7 / 255,))
    assert std == pytest.approx((1 / 255,))


def test_fingerprint_is_the_hash_of_the_content() -> None:
    dataset = make_dataset()
    content = b'["class-0", "class-1", "class-2"]'
    for part in (dataset.train, dataset.test):
        content += str(tuple(part.images.shape)).encode()
        content += part.images.numpy().tobytes() + part.labels.numpy().tobytes()
    assert dataset.fingerprint == hashlib.sha256(content).hexdigest()[:16]


def test_fingerprint_sees_one_pixel() -> None:
    one, other = make_dataset(), make_dataset()
    assert one.fingerprint == other.fingerprint
    changed = make_dataset()
    changed.test.images[0, 0, 0, 0] ^= 1
    assert changed.fingerprint != one.fingerprint


def test_validation_is_stratified_disjoint_and_complete() -> None:
    targets = torch.tensor([0] * 40 + [1] * 20 + [2] * 3)
    images = torch.arange(63, dtype=torch.uint8).view(63, 1, 1, 1)
    split = ImageSet(images, targets[torch.randperm(63, generator=torch.Generator().manual_seed(5))])
    rest, validation = Dataset("toy", ("a", "b", "c"), split, split).split_validation(0.1, seed=0)
    assert validation.labels.bincount().tolist() == [4, 2, 1]
    assert len(rest) == 56
    assert sorted(rest.images.flatten().tolist() + validation.images.flatten().tolist()) == list(range(63))
    assert rest.images.flatten().tolist() == sorted(rest.images.flatten().tolist())


def test_validation_depends_on_the_seed_alone() -> None:
    dataset = make_dataset(train=60)
    cuts = [dataset.split_validation(0.2, seed)[1].images for seed in (0, 0, 1)]
    assert torch.equal(cuts[0], cuts[1])
    assert not torch.equal(cuts[0], cuts[2])


def test_a_class_of_one_image_stays_in_train() -> None:
    split = ImageSet(make_images(4), labels(0, 0, 0, 1))
    rest, validation = Dataset("toy", ("a", "b"), split, split).split_validation(0.9, seed=0)
    assert rest.labels.tolist() == [0, 1]
    assert validation.labels.tolist() == [0, 0]


def test_nothing_left_to_validate_on() -> None:
    split = ImageSet(make_images(2), labels(0, 1))
    with pytest.raises(ValueError, match="no class has two train images"):
        Dataset("toy", ("a", "b"), split, split).split_validation(0.5, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(ValueError, match=rf"above 0 and below 1, got {fraction}"):
        make_dataset().split_validation(fraction, seed=0)


def test_limited_takes_the_first_of_each_class() -> None:
    split = ImageSet(make_images(8), labels(0, 0, 0, 1, 1, 2, 1, 2))
    dataset = Dataset("toy", ("a", "b", "c"), split, split)
    small = dataset.limited(5)
    assert torch.equal(small.train.images, split.images[[0, 1, 3, 4, 5]])
    assert small.test is dataset.test
    assert dataset.limited(None) is dataset
    assert dataset.limited(8).train.labels.tolist() == split.labels.tolist()


@pytest.mark.parametrize("count", [1, 0, -3, 13])
def test_limit_out_of_range(count: int) -> None:
    with pytest.raises(ValueError, match=rf"can keep 2 to 12 train images, not {count}"):
        make_dataset(train=12).limited(count)
