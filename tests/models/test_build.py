"""From name to model: own names, timm's names, and names that are neither."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vsmooth.models import CifarResNet, build, build_model, list_models


def test_own_models() -> None:
    assert list_models() == ["small", "resnet20", "resnet18"]
    for name in list_models():
        assert isinstance(build_model(name, 10).network, CifarResNet)


def test_normalises_with_the_given_statistics() -> None:
    model = build_model("small", 10, 1, (0.3,), (0.2,)).eval()
    images = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(model(images), model.network((images - 0.3) / 0.2))


def test_timm_names_with_and_without_prefix() -> None:
    for name in ("timm:mobilenetv3_small_050", "mobilenetv3_small_050"):
        model = build_model(name, 5, 1, (0.5,), (0.5,), 32).eval()
        assert model(torch.rand(2, 1, 32, 32)).shape == (2, 5)
    assert not isinstance(build_model("timm:resnet18", 5).network, CifarResNet)
    assert {"small", "timm:resnet18"} <= set(list_models(include_timm=True))


@pytest.mark.parametrize("size", [32, (32, 48)])
def test_image_size_reaches_networks_of_one_size(size: int | tuple[int, int]) -> None:
    model = build_model("timm:vit_tiny_patch16_224", 5, 3, image_size=size).eval()
    height, width = size if isinstance(size, tuple) else (size, size)
    assert model(torch.rand(1, 3, height, width)).shape == (1, 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet_20", "unknown model 'resnet_20'; did you mean resnet20"),
        ("smal", "did you mean small"),
        ("vit_tinny_patch16_224", "did you mean vit_tiny_patch16_224"),
        ("timm:resnet5o", r"unknown model 'timm:resnet5o'; did you mean .*resnet50"),
        ("timm:small", "unknown model 'timm:small'"),
        ("@@@@", "choose from small, resnet20, resnet18 or the names of timm"),
    ],
)
def test_unknown_names_get_suggestions(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(name, 10)


def test_without_timm_the_own_names_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "timm_names", list)
    with pytest.raises(
        ValueError, match="choose from small, resnet20, resnet18; for timm networks, pip install"
    ):
        build_model("vit_tiny_patch16_224", 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1,), "num_classes must be at least 2, got 1"),
        ((10, 0), "in_channels must be at least 1, got 0"),
        ((10, 3, (0.5,)), "mean must have one value for each of 3 channels, got 1"),
        ((10, 1, (0.5,), (0.0,)), "std finite and positive"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model("small", *arguments)


def test_timm_is_imported_only_when_asked_for() -> None:
    code = "import sys, vsmooth.models as m; m.build_model('small', 10); sys.exit('timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
