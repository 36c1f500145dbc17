"""A recipe's values stand in for the defaults; what is typed goes before them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vsmooth.cli.parsing import parse
from vsmooth.cli.training_options import Setting, setting_of, spec_of
from vsmooth.cli.verbs.compare import Compare
from vsmooth.cli.verbs.train import Train
from vsmooth.labels import OneHot
from vsmooth.losses.objective import LabelObjective
from vsmooth.recipes import get_recipe, list_recipes
from vsmooth.train import Execution


def train(*words: str) -> Train:
    command = parse(["train", *words])
    assert isinstance(command, Train)
    return command


def test_without_a_recipe_the_defaults_are_those_of_the_types() -> None:
    assert train() == Train()
    assert parse(["compare"]) == Compare()


@pytest.mark.parametrize("recipe", list_recipes(), ids=lambda recipe: recipe.name)
def test_recipe_reaches_the_spec_whole(recipe) -> None:  # type: ignore[no-untyped-def]
    command = train("--recipe", recipe.name, "--precision", "fp32")
    assert command.label == recipe.cell("virtual-smoothing").spec.objective.text
    assert spec_of(command.setting) == recipe.spec.with_objective(LabelObjective(OneHot()))
    assert (command.seed, command.out, command.execution) == (0, Train().out, Execution())


def test_comparison_of_a_recipe_has_the_papers_alphas() -> None:
    command = parse(["compare", "--recipe=cifar100-resnet18", "--seeds", "3"])
    assert isinstance(command, Compare)
    assert command.labels == ("one-hot", "ls:0.4", "vs:0.8")
    assert command.seeds == 3
    assert command.setting == setting_of(get_recipe("cifar100-resnet18").spec)


def test_options_go_before_the_recipe_wherever_they_stand() -> None:
    words = ["--epochs", "2", "--data", "a folder", "--nesterov", "--label", "ls:0.1", "--mixup", "0.2"]
    found = train(*words, "--recipe", "svhn-resnet18")
    assert found == train("--recipe", "svhn-resnet18", *words)
    base = setting_of(get_recipe("svhn-resnet18").spec)
    optimization = replace(base.optimization, nesterov=True)
    mixing = replace(base.mixing, mixup=0.2)
    expected = replace(base, epochs=2, data="a folder", optimization=optimization, mixing=mixing)
    assert (found.setting, found.label) == (expected, "ls:0.1")


def test_every_new_option_reaches_the_spec() -> None:
    words = (
        "--model t2t-vit-14 --image-size 64 --mixup 0.8 --cutmix 1 --crop-padding 0 --resized-crop 0.5 1 "
        "--rand-augment 2 9 --erasing 0.25 --drop-path 0.1 --sync-batchnorm --schedule cosine "
        "--final-learning-rate 1e-5 --precision fp32"
    )
    spec = spec_of(train(*words.split()).setting)
    assert (spec.image_size, spec.drop_path, spec.sync_batchnorm) == (64, 0.1, True)
    assert (spec.mixing.mixup, spec.mixing.cutmix) == (0.8, 1.0)
    augmentation = spec.augmentation
    assert (augmentation.resized_crop, augmentation.rand_augment) == ((0.5, 1.0), (2, 9))
    assert (augmentation.erasing, augmentation.crop_padding) == (0.25, 0)
    assert (spec.optimization.schedule, spec.optimization.final_learning_rate) == ("cosine", 1e-5)


def test_how_a_run_is_carried_out_stays_out_of_the_spec() -> None:
    words = "--track tensorboard --keep-checkpoints 5 --gradient-checkpointing --workers 3 --fsdp --skip-broken"
    command = train(*words.split())
    assert command.execution == Execution("tensorboard", 5, True, 3, True)
    assert command.setting.skip_broken
    assert spec_of(command.setting) == spec_of(Setting())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keep_checkpoints": 0}, "keep_checkpoints must be at least 1, got 0"),
        ({"workers": -1}, r"workers must be 0 \(none\) or more, got -1"),
        ({"track": "comet"}, "track must be one of tensorboard, wandb, mlflow, trackio, got 'comet'"),
    ],
)
def test_impossible_execution(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Execution(**values)  # type: ignore[arg-type]


def test_unknown_recipe_is_said_before_anything_else() -> None:
    for words in (["train", "--recipe", "cifar11"], ["compare", "--recipe=cifar11", "--help"]):
        with pytest.raises(ValueError, match="unknown recipe 'cifar11'"):
            parse(words)
