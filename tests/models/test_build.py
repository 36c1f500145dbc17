"""From name to model: own names, timm's names, and names that are neither."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vsmooth.models import ARCHITECTURES, CifarResNet, T2TViT, build, build_model, list_models, timm_bridge


def test_own_models() -> None:
    assert " ".join(list_models()) == (
        "small resnet8 resnet20 resnet32 resnet56 resnet18 resnet34 resnet50 resnext29-2x64d resnext29-4x64d "
        "wrn-16-4 wrn-28-10 wrn-34-10 wrn-34-20 wrn-40-2 wrn-40-4 mobilenet-v2 preact-resnet18 "
        "resnet18-tiny resnext50-tiny resnet18-imagenet resnext50-imagenet "
        "t2t-vit-14 t2t-vit-24 t2t-vit-t-14 t2t-vit-t-24"
    )
    assert all(name == architecture.name for name, architecture in ARCHITECTURES.items())


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


def test_a_transformer_is_built_for_the_size_of_its_paper_or_another() -> None:
    network = build_model("t2t-vit-14", 5).network
    assert isinstance(network, T2TViT)
    assert network.image_size == (224, 224)
    assert build_model("t2t-vit-14", 5, image_size=(32, 48)).network.image_size == (32, 48)
    assert isinstance(build_model("resnet8", 5, image_size=32).network, CifarResNet)  # of any size: not asked


def test_drop_path_reaches_the_networks_that_have_it() -> None:
    for name in ("t2t-vit-14", "resnet18-imagenet", "resnext50-tiny", "timm:vit_tiny_patch16_224"):
        network = build_model(name, 5, image_size=32, drop_path=0.2).network
        rates = [module.drop_prob for module in network.modules() if type(module).__name__ == "DropPath"]
        assert max(rates) == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["resnet18", "wrn-16-4", "small", "timm:vgg11"])
def test_drop_path_is_refused_by_the_networks_without(name: str) -> None:
    with pytest.raises(ValueError, match=r"has no stochastic depth: leave drop_path at 0, got 0\.1"):
        build_model(name, 10, drop_path=0.1)


@pytest.mark.parametrize("drop_path", [-0.1, 1.0])
def test_drop_path_outside_0_to_1_is_named(drop_path: float) -> None:
    with pytest.raises(ValueError, match=rf"drop_path must be in \[0, 1\), got {drop_path}"):
        build_model("t2t-vit-14", 10, drop_path=drop_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet_20", "unknown model 'resnet_20'; did you mean resnet20"),
        ("smal", "did you mean small"),
        ("vit_tinny_patch16_224", "did you mean vit_tiny_patch16_224"),
        ("timm:resnet5o", r"unknown model 'timm:resnet5o'; did you mean .*resnet50"),
        ("wrn-28-12", "unknown model 'wrn-28-12'; did you mean wrn-28-10"),
        ("timm:small", "unknown model 'timm:small'"),
        ("@@@@", "choose from small, resnet8, .*, t2t-vit-t-24 or the names of timm"),
    ],
)
def test_unknown_names_get_suggestions(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(name, 10)


def test_without_timm_the_own_names_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "timm_names", list)
    with pytest.raises(
        ValueError, match=r"choose from small, resnet8, .*, t2t-vit-t-24; for timm networks, pip install"
    ):
        build_model("vit_tiny_patch16_224", 10)


def test_without_timm_its_networks_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_bridge.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'the network resnet18 is built by timm: pip install "vsmooth\[lab\]"'):
        build_model("resnet18-imagenet", 10)


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
