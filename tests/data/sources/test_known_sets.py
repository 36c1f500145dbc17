from __future__ import annotations

import pytest
from data_builders import SHARED

from vsmooth.data import (
    NO_AUGMENTATION,
    Augmentation,
    Dataset,
    known_image_shape,
    known_set,
    list_known_sets,
    load_dataset,
)
from vsmooth.data.sources.torchvision_sets import TORCHVISION_SETS


@pytest.mark.parametrize("name", list_known_sets())
def test_a_record_is_of_one_piece(name: str) -> None:
    record = known_set(name)
    assert record is not None
    assert record.name == name
    channels, height, width = record.image_shape
    assert len(record.mean) == len(record.std) == channels
    assert all(0 < mean < 1 and 0 < std < 0.5 for mean, std in zip(record.mean, record.std, strict=True))
    assert record.classes is None or len(record.classes) == record.num_classes
    record.augmentation.check_fits(height, width)


def test_names_of_the_paper() -> None:
    assert set(list_known_sets()) == {"svhn", "cifar10", "cifar100", "tiny-imagenet", "imagenet"}
    assert known_set("mnist") is None


def test_svhn_has_the_augmentation_of_the_paper_and_that_of_the_authors() -> None:
    svhn, cifar = known_set("svhn"), known_set("cifar10")
    assert svhn is not None
    assert svhn.augmentation == Augmentation(4, True, "reflect")
    assert svhn.authors_augmentation == NO_AUGMENTATION
    assert cifar is not None
    assert cifar.augmentation == cifar.authors_augmentation == Augmentation(4, True, "reflect")


def test_counts_that_are_not_the_sets() -> None:
    cifar = known_set("cifar10")
    assert cifar is not None
    assert cifar.counts_note(50_000, 10_000) is None
    assert cifar.counts_note(49_999, 9_999, left_out=2) is None  # these were named already
    assert cifar.counts_note(10_000, 2_000) == (
        "cifar10 has 50,000 train and 10,000 test images, here are 10,000 and 2,000: results are not comparable with "
        "published ones"
    )
    assert cifar.counts_note(49_999, 10_000) is not None


def test_shapes_that_are_known_without_reading() -> None:
    assert known_image_shape("cifar10") == known_image_shape("svhn") == (3, 32, 32)
    assert known_image_shape("tiny-imagenet") == (3, 64, 64)
    assert known_image_shape("imagenet") == (3, 224, 224)
    assert known_image_shape("mnist") == known_image_shape("fashion-mnist") == (1, 28, 28)
    assert known_image_shape("embedded") == load_dataset("embedded").image_shape
    assert known_image_shape("./folder") is None


def test_torchvision_sets_take_the_names_of_the_record() -> None:
    for name in ("svhn", "cifar10"):
        record = known_set(name)
        assert record is not None
        assert TORCHVISION_SETS[name].classes is record.classes
        assert record.description in TORCHVISION_SETS[name].description


def test_cifar10_is_as_recorded(shared_cifar10: Dataset) -> None:
    record = known_set("cifar10")
    assert record is not None
    assert shared_cifar10.classes == record.classes
    mean, std = shared_cifar10.channel_statistics()
    assert mean == pytest.approx(record.mean, abs=1e-3)
    assert std == pytest.approx(record.std, abs=1e-3)
    assert (len(shared_cifar10.train), len(shared_cifar10.test)) == record.counts
    assert shared_cifar10.image_shape == record.image_shape


@pytest.mark.skipif(not (SHARED / "svhn_part").is_dir(), reason="no shared SVHN parquet files")
def test_a_part_of_svhn_is_near_what_is_recorded() -> None:
    record = known_set("svhn")
    assert record is not None
    dataset = load_dataset(str(SHARED / "svhn_part"))
    assert dataset.image_shape == record.image_shape
    assert dataset.num_classes == record.num_classes
    # Other digits, cut again from the full photographs: near, not equal
    mean, std = dataset.channel_statistics()
    assert mean == pytest.approx(record.mean, abs=0.05)
    assert std == pytest.approx(record.std, abs=0.05)
