"""A recipe refuses data that it is not for, before anything is trained."""

from __future__ import annotations

import pytest
import torch

from vsmooth.data import Dataset, ImageSet
from vsmooth.recipes import get_recipe


def dataset(classes: int, channels: int, size: int) -> Dataset:
    split = ImageSet(torch.zeros(4, channels, size, size, dtype=torch.uint8), torch.arange(4) % classes)
    return Dataset("toy", tuple(f"class-{index}" for index in range(classes)), split, split)


def test_what_fits() -> None:
    get_recipe("cifar10-resnet18").check_fits(dataset(10, 3, 32))
    get_recipe("tiny-imagenet-resnext50").check_fits(dataset(200, 3, 64))
    get_recipe("imagenet-t2t-vit-24").check_fits(dataset(1000, 3, 224))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "cifar100-resnext29",
            (10, 3, 32),
            "recipe cifar100-resnext29 is for 100 classes and images of 3x32x32, but toy has 10 classes and images of "
            "3x32x32; give --data that fits, or train without --recipe",
        ),
        ("cifar10-resnet18", (10, 1, 28), "but toy has 10 classes and images of 1x28x28; give --data that fits"),
        ("cifar10-resnet18", (11, 3, 32), "is for 10 classes .* but toy has 11 classes"),
        ("tiny-imagenet-resnet18", (200, 3, 56), "images of 3x64x64, but .* 3x56x56; --image-size 64 brings them to"),
    ],
)
def test_what_does_not_fit(name: str, data: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        get_recipe(name).check_fits(dataset(*data))
    assert "\n" not in str(caught.value)


def test_another_size_on_purpose() -> None:
    recipe = get_recipe("imagenet-resnet18")
    recipe.check_fits(dataset(1000, 3, 64), image_size=64)
    with pytest.raises(ValueError, match=r"images of 3x64x64, but toy has 1000 classes and images of 3x224x224"):
        recipe.check_fits(dataset(1000, 3, 224), image_size=64)
