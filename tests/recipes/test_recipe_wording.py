"""Recipes in words, and the page that is made of them."""

from __future__ import annotations

from pathlib import Path

from vsmooth.recipes import get_recipe, list_recipes
from vsmooth.recipes.wording import (
    augmentation_text,
    describe_settings,
    optimizer_text,
    origins_list,
    settings_table,
)

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
REMEDY = "python -m vsmooth.recipes.wording prints what docs/recipes.md should hold"


def test_the_page_is_that_of_the_recipes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert settings_table() in page, REMEDY
    assert origins_list() in page, REMEDY


def test_settings_in_words() -> None:
    assert describe_settings(get_recipe("cifar100-resnext29")) == [
        ("data", "cifar100: 100 classes, 3x32x32, 2 % of train held out"),
        ("network", "resnext29-2x64d"),
        ("training", "200 epochs, batch 128"),
        (
            "optimizer",
            "SGD, momentum 0.9, learning rate 0.1 divided by 10 after epochs 100 and 150, weight decay 0.0001",
        ),
        ("augmentation", "crop after padding 4 (reflect), flip"),
    ]
    recipe = get_recipe("imagenet-t2t-vit-24")
    assert optimizer_text(recipe) == "AdamW, learning rate 0.001 cosine to 1e-05, weight decay 0.065"
    expected = "crop of 8 to 100 % of the area, flip, RandAugment (2, 9), MixUp 0.8, drop-path 0.01"
    assert augmentation_text(recipe) == expected
    assert "after epochs 60, 90 and 110," in optimizer_text(get_recipe("imagenet-resnet18"))


def test_table_has_a_row_for_each_recipe_and_its_numbers_in_order() -> None:
    rows = settings_table().splitlines()
    assert len(rows) == 2 + len(list_recipes())
    assert {row.count("|") for row in rows} == {12}
    (row,) = (row for row in rows if "cifar100-resnext29" in row)
    assert row.endswith("| 0.9 | 0.9 | 76.54 | 78.18 | 79.84 |")


def test_every_recipe_is_in_one_group_of_origins() -> None:
    text = origins_list()
    assert all(text.count(f"`{recipe.name}`") == 1 for recipe in list_recipes())
