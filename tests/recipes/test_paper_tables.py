"""The recipes against the paper's tables, typed off once more, and against the schedules in its text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from vsmooth.classifier import find_classifier
from vsmooth.data import Mixing, known_set
from vsmooth.experiments.specs.run_spec import CONVERTER, RunSpec
from vsmooth.models import build_model, list_models
from vsmooth.recipes import Cell, Recipe, get_recipe, list_recipes
from vsmooth.records.serialisation import from_plain

# Rows as the paper prints them: accuracy [alpha], columns SVHN, CIFAR10, CIFAR100, Tiny-200.
TABLE_2 = {
    "resnet18": (
        "95.58	94.56	75.43	64.10",
        "95.74 [0.3]	94.99 [0.5]	77.56 [0.4]	65.00 [0.5]",
        "96.02 [0.6]	95.30 [0.5]	78.05 [0.8]	65.86 [0.8]",
    ),
    "resnext": (
        "96.12	93.86	76.54	64.43",
        "96.51 [0.7]	94.88 [0.4]	78.18 [0.9]	65.77 [0.9]",
        "96.79 [0.7]	95.27 [0.8]	79.84 [0.9]	66.19 [0.8]",
    ),
}
TABLE_3 = {
    "resnet18": "70.63	70.69 [0.05]	70.74 [0.05]",
    "resnext50": "77.57	78.31 [0.3]	78.39 [0.3]",
    "t2t-vit-14": "78.67	79.01 [0.3]	79.08 [0.4]",
    "t2t-vit-24": "78.68	79.45 [0.7]	79.70 [0.8]",
}


def cells(recipe: Recipe) -> tuple[str, ...]:
    """The recipe's numbers as the paper prints them."""
    found = []
    for cell in recipe.cells:
        parameter = cell.spec.objective.parameter
        found.append(f"{cell.paper['accuracy']:.2f}" + ("" if parameter is None else f" [{parameter:g}]"))
    return tuple(found)


@pytest.mark.parametrize("row", TABLE_2)
def test_table_2(row: str) -> None:
    suffix = {"resnet18": ("resnet18",) * 4, "resnext": ("resnext29",) * 3 + ("resnext50",)}[row]
    names = ("svhn", "cifar10", "cifar100", "tiny-imagenet")
    columns = zip(*(line.split("\t") for line in TABLE_2[row]), strict=True)
    for data, network, column in zip(names, suffix, columns, strict=True):
        recipe = get_recipe(f"{data}-{network}")
        assert cells(recipe) == column, recipe.name
        assert (recipe.table, recipe.spec.data) == ("Table 2", data)


@pytest.mark.parametrize("network", TABLE_3)
def test_table_3(network: str) -> None:
    assert cells(get_recipe(f"imagenet-{network}")) == tuple(TABLE_3[network].split("\t"))


def test_names_and_networks() -> None:
    networks = {recipe.name: recipe.spec.model for recipe in list_recipes()}
    assert networks == {
        "svhn-resnet18": "resnet18",
        "svhn-resnext29": "resnext29-2x64d",
        "cifar10-resnet18": "resnet18",
        "cifar10-resnext29": "resnext29-2x64d",
        "cifar100-resnet18": "resnet18",
        "cifar100-resnext29": "resnext29-2x64d",
        "tiny-imagenet-resnet18": "resnet18-tiny",
        "tiny-imagenet-resnext50": "resnext50-tiny",
        "imagenet-resnet18": "resnet18-imagenet",
        "imagenet-resnext50": "resnext50-imagenet",
        "imagenet-t2t-vit-14": "t2t-vit-14",
        "imagenet-t2t-vit-24": "t2t-vit-24",
    }
    assert set(networks.values()) <= set(list_models())


@pytest.mark.parametrize("recipe", list_recipes(), ids=lambda recipe: recipe.name)
def test_network_takes_the_recipes_classes_size_and_drop_path(recipe: Recipe) -> None:
    with torch.device("meta"):  # no weights are made
        model = build_model(
            recipe.spec.model, recipe.num_classes, 3, image_size=recipe.image_size, drop_path=recipe.spec.drop_path
        )
    assert find_classifier(model)[1].weight.shape[0] == recipe.num_classes


def test_classes_and_sizes() -> None:
    found = {recipe.spec.data: (recipe.num_classes, recipe.image_size) for recipe in list_recipes()}
    assert found == {
        "svhn": (10, 32),
        "cifar10": (10, 32),
        "cifar100": (100, 32),
        "tiny-imagenet": (200, 64),
        "imagenet": (1000, 224),
    }


def rates(name: str, epochs: tuple[int, ...]) -> list[float]:
    """Learning rate at the start of these epochs (from 0)."""
    spec = get_recipe(name).spec
    per_epoch = 391
    total = spec.epochs * per_epoch
    return [spec.optimization.learning_rate_at(epoch * per_epoch, total) for epoch in epochs]


def test_small_images_train_as_section_4_1_says() -> None:
    for recipe in list_recipes()[:8]:
        spec, optimization = recipe.spec, recipe.spec.optimization
        assert (spec.epochs, spec.batch_size) == (200, 128)
        assert (optimization.optimizer, optimization.momentum, optimization.nesterov) == ("sgd", 0.9, False)
        assert (optimization.weight_decay, optimization.warmup) == (1e-4, 0)
        assert rates(recipe.name, (0, 99, 100, 149, 150, 199)) == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
        assert (spec.mixing, spec.drop_path, spec.train_limit) == (Mixing(), 0, None)
        assert spec.augmentation.flip


def test_imagenet_cnns_train_as_section_4_1_says() -> None:
    for name in ("imagenet-resnet18", "imagenet-resnext50"):
        spec = get_recipe(name).spec
        assert (spec.epochs, spec.batch_size, spec.image_size) == (120, 256, 224)
        assert (spec.optimization.weight_decay, spec.optimization.nesterov) == (1e-4, False)
        expected = [0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 1e-4]
        assert rates(name, (0, 59, 60, 89, 90, 109, 110)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "batch", "decay"), [("imagenet-t2t-vit-14", 256, 0.05), ("imagenet-t2t-vit-24", 512, 0.065)]
)
def test_t2t_trains_as_section_4_1_and_the_reference_settings_say(name: str, batch: int, decay: float) -> None:
    spec = get_recipe(name).spec
    optimization = spec.optimization
    assert (spec.batch_size, optimization.optimizer, optimization.weight_decay) == (batch, "adamw", decay)
    assert (optimization.schedule, optimization.warmup) == ("cosine", 0)
    assert rates(name, (0, 60)) == pytest.approx([1e-3, (1e-3 + 1e-5) / 2])
    assert optimization.learning_rate_at(10**6 - 1, 10**6) == pytest.approx(1e-5, rel=1e-3)
    assert (spec.mixing, spec.augmentation.rand_augment, spec.drop_path) == (Mixing(mixup=0.8), (2, 9), 0.01)
    assert spec.augmentation.erasing == 0


def test_svhn_as_the_authors_code_has_it_is_two_options_away() -> None:
    known = known_set("svhn")
    assert known is not None
    for name in ("svhn-resnet18", "svhn-resnext29"):
        recipe = get_recipe(name)
        assert recipe.spec.augmentation == known.augmentation
        assert replace(recipe.spec.augmentation, crop_padding=0, flip=False) == known.authors_augmentation
        assert "--crop-padding 0 --no-flip" in recipe.origins.reference


def test_inputs_and_padding_are_as_the_reference_settings_say() -> None:
    """CIFAR in [0, 1] and padded by 4; SVHN by .5 / .5 without a crop; Tiny-ImageNet by its statistics, padded by 8."""
    for recipe in list_recipes()[:8]:
        data, origins = recipe.spec.data, recipe.origins
        padding = (recipe.spec.augmentation.crop_padding, recipe.spec.augmentation.padding_mode)
        assert padding == ((8 if data == "tiny-imagenet" else 4), "reflect")
        says = {
            "svhn": (origins.chosen, "the authors' code takes mean .5 and deviation .5"),
            "tiny-imagenet": (origins.reference, "padding of 8 pixels by reflection; inputs normalised by the means ("),
        }.get(data, (origins.chosen, "the authors' code leaves them in [0, 1]"))
        assert says[1] in says[0]
        assert ("[0, 1]" in origins.chosen) == data.startswith("cifar")


def test_what_is_not_known_is_said() -> None:
    for network in ("t2t-vit-14", "t2t-vit-24"):
        assert "120 epochs" in get_recipe(f"imagenet-{network}").origins.chosen
    for recipe in list_recipes():
        assert "held" in recipe.origins.chosen
        assert "alphas" in recipe.origins.paper


def test_specs_are_stored_like_any_other() -> None:
    specs = [cell.spec for recipe in list_recipes() for cell in recipe.cells]
    assert len({spec.key for spec in specs}) == len(specs)
    for spec in specs:
        assert from_plain(RunSpec, json.loads(json.dumps(spec.to_json())), CONVERTER) == spec


def test_labels_of_the_comparison() -> None:
    recipe = get_recipe("imagenet-resnet18")
    assert recipe.label_texts == ("one-hot", "ls:0.05", "vs:0.05")
    assert recipe.objectives[2] == recipe.spec.objective
    assert [cell.spec.objective.kind for cell in recipe.cells] == ["one-hot", "label-smoothing", "virtual-smoothing"]
    assert recipe.cell("label-smoothing") is recipe.cells[1]


def test_cells_of_tables_2_and_3_differ_in_the_label_alone_and_ask_for_the_plain_test_split() -> None:
    for recipe in list_recipes():
        for cell in recipe.cells:
            assert cell.spec.with_objective(recipe.spec.objective) == recipe.spec
            assert (cell.evaluations, list(cell.paper)) == (("clean",), ["accuracy"])


def test_impossible_recipes() -> None:
    recipe = get_recipe("imagenet-resnet18")
    with pytest.raises(ValueError, match="has no cell with focal; it has one-hot, label-smoothing, virtual-smoothing"):
        recipe.cell("focal")
    for cells, count in (((), 0), (recipe.cells + recipe.cells[:1], 4)):
        message = f"recipe imagenet-resnet18 needs cells, each of another training; got {count} cells"
        with pytest.raises(ValueError, match=message):
            replace(recipe, cells=cells)
    with pytest.raises(ValueError, match=r"a cell needs a number of the paper and an evaluation: vs:0\.05 has none"):
        Cell(recipe.spec, {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar100-resnet29", "unknown recipe 'cifar100-resnet29'; did you mean cifar100-resnext29"),
        ("resnet18-cifar10", "unknown recipe 'resnet18-cifar10'; did you mean "),
        ("", "unknown recipe ''; recipes are svhn-resnet18, svhn-resnext29, cifar10-resnet18, "),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_recipe(name)


def test_names_are_found_in_any_case() -> None:
    assert get_recipe("ImageNet-T2T-ViT-14").name == "imagenet-t2t-vit-14"
