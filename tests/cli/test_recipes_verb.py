"""`vsmooth recipes`, and recipes on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_builders import squeezed
from PIL import Image

from vsmooth.cli import main
from vsmooth.experiments.run import read_spec
from vsmooth.recipes import list_recipes

TINY = ["--epochs", "1", "--batch-size", "16", "--model", "small", "--precision", "fp32"]


@pytest.fixture(scope="module")
def like_cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes of 32x32 RGB noise, eight train images and two test images each."""
    folder = tmp_path_factory.mktemp("data") / "noise"
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", 80), ("test", 20)):
        for index in range(count):
            pixels = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8, generator=generator)
            path = folder / split / f"class-{index % 10}" / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.numpy()).save(path)
    return folder


def test_list_has_every_recipe_with_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    lines = [squeezed(line) for line in capsys.readouterr().out.splitlines()]
    assert all(any(line.startswith(f"{recipe.name} ") for line in lines) for recipe in list_recipes())
    assert "cifar100-resnext29 200 128 0.9 0.9 76.54 78.18 79.84" in lines


def test_one_recipe_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "imagenet-t2t-vit-14"]) == 0
    text = squeezed(capsys.readouterr().out)
    for phrase in (
        "imagenet-t2t-vit-14 (Table 3 of the paper)",
        "accuracy % one-hot 78.67, ls:0.3 79.01, vs:0.4 79.08 (test, in the paper)",
        "from code MixUp Beta(.8), RandAugment (2, 9)",
        "chosen here 120 epochs, those of the CNNs (the paper gives no number)",
    ):
        assert phrase in text
    assert main(["recipes", "cifar10-resnet18"]) == 0
    assert "(the authors' code leaves them in [0, 1])" in squeezed(capsys.readouterr().out)  # brackets are no markup


def test_help_shows_the_values_of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--recipe", "imagenet-t2t-vit-24", "--help"])
    assert stopped.value.code == 0
    text = squeezed(capsys.readouterr().out)
    assert "Defaults: recipe imagenet-t2t-vit-24, Table 3 of the paper; any option overrides them." in text
    for phrase in ("(default: vs:0.8)", "(default: 512)", "(default: 0.065)", "(default: 2 9)", "(default: 1e-05)"):
        assert phrase in text


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_recipe_that_does_not_fit_the_data(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([verb, "--recipe", "cifar100-resnext29", "--data", "embedded", *TINY]) == 2
    error = capsys.readouterr().err
    assert error.startswith("vsmooth: recipe cifar100-resnext29 is for 100 classes and images of 3x32x32, but ")
    assert error.endswith("has 10 classes and images of 1x28x28; give --data that fits, or train without --recipe\n")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())  # before training: nothing is written


def test_recipe_with_a_wrong_number_of_classes(like_cifar: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--recipe", "cifar100-resnet18", "--data", str(like_cifar), *TINY]) == 2
    assert "is for 100 classes and images of 3x32x32, but " in capsys.readouterr().err


@pytest.mark.parametrize("words", [["recipes", "cifar10-resnet"], ["train", "--recipe", "cifar10-resnet"]])
def test_unknown_recipe(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("vsmooth: unknown recipe 'cifar10-resnet'; did you mean cifar10-resnet18")
    assert error.count("\n") == 1


def test_overridden_recipe_trains(like_cifar: Path, tmp_path: Path) -> None:
    options = [*TINY, "--data", str(like_cifar), "--validation-fraction", "0.2", "--out", str(tmp_path)]
    assert main(["train", "--recipe", "cifar10-resnext29", *options]) == 0
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("vs-0.8-seed0-")
    spec = read_spec(folder)
    assert (spec.epochs, spec.batch_size, spec.model) == (1, 16, "small")
    assert (spec.optimization.schedule, spec.optimization.nesterov) == ("step", False)
    assert spec.optimization.weight_decay == 1e-4


def test_overridden_recipe_compares_the_three_labels_of_the_paper(like_cifar: Path, tmp_path: Path) -> None:
    options = [*TINY, "--data", str(like_cifar), "--validation-fraction", "0.2", "--out", str(tmp_path)]
    assert main(["compare", "--recipe", "cifar10-resnet18", *options]) == 0
    names = sorted(path.parent.name.rsplit("-", 1)[0] for path in tmp_path.glob("*/record.json"))
    assert names == ["ls-0.5-seed0", "one-hot-seed0", "vs-0.5-seed0"]
