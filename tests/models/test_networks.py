"""Every own network: its size in the literature, and the contract that it can be trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from vsmooth.models import build_model, list_models, resnet18, resnet20, small
from vsmooth.models.resnet_cifar import ZeroPadShortcut


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_resnet20_has_the_parameters_of_the_paper() -> None:
    # He et al. (2016), Table 6, says 0.27M. Convolutions, BatchNorm scales and shifts, classifier:
    convolutions = 3 * 16 * 9 + 6 * 16 * 16 * 9 + (16 * 32 + 5 * 32 * 32) * 9 + (32 * 64 + 5 * 64 * 64) * 9
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    assert convolutions + norms + 64 * 10 + 10 == 269_722
    assert count(resnet20(10)) == 269_722


def test_resnet18_has_the_parameters_of_the_literature() -> None:
    assert count(resnet18(10)) == 11_173_962
    assert 2.7e6 < count(resnet18(10, width=32)) < 2.9e6


def test_small_has_75_thousand_parameters() -> None:
    convolutions = 9 * (16 + 2 * 16 * 16 + (16 * 32 + 32 * 32) + (32 * 64 + 64 * 64))
    assert count(small(10)) == convolutions + 2 * (3 * 16 + 2 * 32 + 2 * 64) + 64 * 10 + 10 == 75_002


def test_the_classifier_is_fc() -> None:
    for name in list_models():
        network = build_model(name, 7).network
        assert isinstance(network.fc, nn.Linear)
        assert network.fc.out_features == 7
        assert list(network.children())[-1] is network.fc


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


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize(
    ("channels", "height", "width"), [(3, 32, 32), (1, 28, 28), (3, 17, 24), (1, 64, 64)]
)
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


@pytest.mark.parametrize("name", list_models())
def test_a_few_steps_lower_the_loss(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 4, 3)
    images, labels = torch.rand(8, 3, 16, 16), torch.arange(8) % 4
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for _ in range(6):
        loss = cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", list_models())
def test_bf16_autocast_trains_in_channels_last(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 4, 3).to(memory_format=torch.channels_last)
    images = torch.rand(4, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.bfloat16
    cross_entropy(logits.float(), torch.arange(4)).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
