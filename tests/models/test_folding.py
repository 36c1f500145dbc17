"""Networks whose gradients are not those of their operations: folding would lose them, so they stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vsmooth import add_virtual_classes, all_logits
from vsmooth.models import inference_network

K, V, LEVELS = 4, 3, 15  # 4 bits


class _Rounded(torch.autograd.Function):
    """Rounds to 4 bits; the gradient passes straight through."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return (values * LEVELS).round() / LEVELS

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Spike(torch.autograd.Function):
    """A step at 0 with the gradient of a sigmoid, as in spiking networks."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return (values > 0).to(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        slope = values.sigmoid()
        return gradient * slope * (1 - slope)


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, K)

    def forward(self, pixels: Tensor) -> Tensor:
        return self._classify(torch.relu(self.norm(self.conv(pixels))))

    def _classify(self, features: Tensor) -> Tensor:
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits


class StraightThrough(_Small):
    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(_Rounded.apply(pixels))


class Surrogate(_Small):
    def forward(self, pixels: Tensor) -> Tensor:
        return self._classify(_Spike.apply(self.norm(self.conv(pixels))))


class PartlyStraightThrough(_Small):
    """Only a tenth of the signal is rounded."""

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(0.9 * pixels + 0.1 * _Rounded.apply(pixels))


class WithoutGradient(_Small):
    """Hides a part of its gradient, which torch.fx would bring to light."""

    def forward(self, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            brightness = pixels.mean((1, 2, 3), keepdim=True)
        return super().forward(pixels - brightness)


class OnlyForVirtual(_Small):
    """The virtual logits alone have a straight-through gradient."""

    def forward(self, pixels: Tensor) -> Tensor:
        logits = super().forward(pixels)
        return torch.cat([logits[:, :K], _Rounded.apply(logits[:, K:])], 1)


class Detached(_Small):
    """The other way to write a straight-through estimator, which folding keeps."""

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels + ((pixels * LEVELS).round() / LEVELS - pixels).detach())


def make(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    model = add_virtual_classes(kind(), V)
    model.norm.running_var.uniform_(0.5, 1.5)
    return model.eval()


def images() -> Tensor:
    return torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def gradients(network: nn.Module, outputs: int) -> Tensor:
    """One input gradient for each logit: (C, N, 3, H, W)."""
    pixels = images().requires_grad_()
    sums = network(pixels)[:, :outputs].sum(0)
    return torch.stack([torch.autograd.grad(one, pixels, retain_graph=True)[0] for one in sums])


@pytest.mark.parametrize("real_only", [True, False], ids=["K", "K+V"])
@pytest.mark.parametrize("kind", [StraightThrough, Surrogate, PartlyStraightThrough, WithoutGradient])
def test_gradients_that_folding_would_lose_are_kept(kind: type[nn.Module], real_only: bool) -> None:
    model, outputs = make(kind), K if real_only else K + V
    network = inference_network(model, images(), real_only=real_only)
    assert (network.folded, network.refused) == (0, "folding would change its input gradients")
    with all_logits(model):
        expected = gradients(model, outputs)
    assert expected.any()
    torch.testing.assert_close(gradients(network, outputs), expected)


@pytest.mark.parametrize("kind", [_Small, Detached])
def test_ordinary_gradients_are_folded(kind: type[nn.Module]) -> None:
    network = inference_network(make(kind), images())
    assert (network.folded, network.refused) == (1, "")
    torch.testing.assert_close(gradients(network, K), gradients(make(kind), K))
    assert inference_network(make(kind), images(), fold=False).refused == ""


def test_each_view_is_compared_by_its_own_logits() -> None:
    model = make(OnlyForVirtual)
    assert inference_network(model, images()).folded == 1
    assert inference_network(model, images(), real_only=False).refused == "folding would change its input gradients"


def test_a_network_without_a_derivative_is_not_given_one() -> None:
    class Decisions(_Small):
        def forward(self, pixels: Tensor) -> Tensor:
            with torch.no_grad():
                return super().forward(pixels)

    network = inference_network(make(Decisions), images())
    assert network.folded == 0
    assert not network(images().requires_grad_()).requires_grad


def test_in_inference_mode() -> None:
    model = make(_Small)
    with torch.inference_mode():
        assert inference_network(model, images()).folded == 1
