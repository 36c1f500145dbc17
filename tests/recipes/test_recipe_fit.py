"""A recipe refuses data that it is not for, before anything is trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vsmooth.data import Dataset, ImageSet
from vsmooth.data.sources.known_sets import CIFAR10, DIGITS
from vsmooth.recipes import get_recipe


def dataset(
    classes: int, channels: int, size: int, name: str = "toy", names: tuple[str, ...] | None = None
) -> Dataset:
    split = ImageSet(torch.zeros(4, channels, size, size, dtype=torch.uint8), torch.arange(4) % classes)
    return Dataset(name, names or tuple(str(index) for index in range(classes)), split, split)


PLANE_AND_CAR = ("plane", "car", *CIFAR10[2:])  # as some copies name them
ROOMS = ("attic", "bar", "bath", "cellar", "hall", "kitchen", "library", "office", "porch", "studio")
NUMBERED = tuple(f"class-{index}" for index in range(10))


@pytest.mark.parametrize(
    ("recipe", "name", "names"),
    [
        ("cifar10-resnet18", "svhn", DIGITS),
        ("svhn-resnet18", "cifar10", CIFAR10),
        ("cifar10-resnet18", "my-rooms", ROOMS),
        ("svhn-resnet18", "my-copy", CIFAR10),
    ],
)
def test_another_set_of_the_same_shape(recipe: str, name: str, names: tuple[str, ...]) -> None:
    data = recipe.partition("-")[0]
    message = rf"recipe {recipe} is for {data}, but {name} is another set .*; give --data {data}, or train without"
    with pytest.raises(ValueError, match=message):
        get_recipe(recipe).check_fits(dataset(10, 3, 32, name, names))


@pytest.mark.parametrize("names", [CIFAR10, PLANE_AND_CAR, tuple(name.title() for name in CIFAR10), DIGITS, NUMBERED])
def test_a_copy_may_be_the_set_and_is_doubted_by_its_counts(names: tuple[str, ...]) -> None:
    recipe, copy = get_recipe("cifar10-resnet18"), dataset(10, 3, 32, "owner/copy", names)
    recipe.check_fits(copy)
    assert recipe.doubt(copy) == (
        "recipe cifar10-resnet18 is for cifar10 with 50,000 train and 10,000 test images; owner/copy has 4 and 4, so "
        "it is a part of it or another set"
    )
    whole = [ImageSet(torch.zeros(n, 3, 1, 1, dtype=torch.uint8), torch.arange(n) % 10) for n in (50_000, 10_000)]
    assert recipe.doubt(replace(copy, train=whole[0], test=whole[1])) is None
    assert recipe.doubt(replace(copy, name="cifar10")) is None  # which is told whenever a set by this name is loaded


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
