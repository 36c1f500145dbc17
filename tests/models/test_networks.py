"""Every own network: it trains, takes virtual classes, and keeps the conventions that other rooms rely on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vsmooth import add_virtual_classes, virtual_smoothing_loss
from vsmooth.models import build_model, list_models, resnet18, small
from vsmooth.models.resnet_cifar import ZeroPadShortcut

K, V = 3, 2
# One of each family; the others are the same code with other numbers.
FAMILIES = ["small", "resnet8", "resnet50", "resnext29-2x64d", "wrn-16-4", "mobilenet-v2", "preact-resnet18"]
TRANSFORMERS = ["t2t-vit-14", "t2t-vit-t-14"]


@pytest.mark.parametrize("name", list_models())
def test_a_step_with_virtual_classes_lowers_the_loss(name: str) -> None:
    torch.manual_seed(0)
    model = add_virtual_classes(build_model(name, K, image_size=8), V).train()
    images, labels = torch.rand(4, 3, 8, 8), torch.arange(4) % K
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def loss() -> Tensor:
        torch.manual_seed(1)  # the same dropout before and after
        logits = model(images)
        assert logits.shape == (4, K + V)
        return virtual_smoothing_loss(logits, labels, K, 0.1)

    before = loss()
    before.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in trained)
    with torch.no_grad():
        slope = sum(float(parameter.grad.square().sum()) for parameter in trained)
        for parameter in trained:  # down the gradient, as far as would lower the loss by a hundredth were it straight
            parameter -= 0.01 * before / slope * parameter.grad
        assert 0.98 * before < loss() < 0.999 * before
        logits = model.eval()(images)
    assert logits.shape == (4, K)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", list_models())
def test_the_classifier_comes_last_and_the_blocks_have_their_name(name: str) -> None:
    with torch.device("meta"):
        network = build_model(name, 7).network
    classifier = network.head if name.startswith("t2t") else network.fc
    assert isinstance(classifier, nn.Linear)
    assert classifier.out_features == 7
    assert list(network.children())[-1] is classifier
    by_timm = name.endswith("-imagenet") or name == "resnext50-tiny"
    assert isinstance(network.layer4 if by_timm else network.blocks, nn.Sequential)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 17, 24)])
def test_any_size_and_any_memory_format(name: str, channels: int, height: int, width: int) -> None:
    model = build_model(name, 10, channels).eval()
    images = torch.rand(2, channels, height, width)
    with torch.inference_mode():
        logits = model(images)
        relaid = model.to(memory_format=torch.channels_last)(
            images.contiguous(memory_format=torch.channels_last)
        )
    assert logits.shape == (2, 10)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits, relaid, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [*FAMILIES, *TRANSFORMERS, "resnext50-tiny"])
def test_bf16_autocast_trains_in_channels_last(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 4, image_size=16).to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.bfloat16
    cross_entropy(logits.float(), torch.arange(2)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", ["resnet8", "wrn-16-4"])
def test_compiles_without_a_graph_break(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 4, 3, (0.5,) * 3, (0.25,) * 3)
    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(images), model(images))


def test_the_zero_padding_shortcut_by_hand() -> None:
    images = torch.arange(2 * 3 * 3, dtype=torch.float32).view(1, 2, 3, 3)
    out = ZeroPadShortcut(2, 5, stride=2)(images)
    assert out.shape == (1, 5, 2, 2)
    assert out[0, 0].tolist() == [[0, 2], [6, 8]]
    assert out[0, 1].tolist() == [[9, 11], [15, 17]]
    assert not out[0, 2:].any()


def test_convolutions_start_at_the_fan_out_scale() -> None:
    torch.manual_seed(0)
    weight = resnet18(10).blocks[-1].conv2.weight
    assert float(weight.detach().std()) == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.02)


def test_names_in_saved_runs_stay() -> None:
    names = list(small(10).state_dict())
    assert names[0] == "conv1.weight"
    assert names[-2:] == ["fc.weight", "fc.bias"]
    block = [name.removeprefix("blocks.0.") for name in names if name.startswith("blocks.0.") and "weight" in name]
    assert block == ["conv1.weight", "bn1.weight", "conv2.weight", "bn2.weight"]
    assert "blocks.2.shortcut.0.weight" in resnet18(10).state_dict()
