"""The inference network: the logits and the gradients of the original, which stays as it was, with fewer BatchNorms."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vsmooth import add_virtual_classes, all_logits
from vsmooth.models import (
    InferenceNetwork,
    NormalisedModel,
    Resized,
    build_model,
    checkpoint_blocks,
    inference_network,
)

K, V, SIZE = 4, 3, 16
# BatchNorms, and those that cannot go into a convolution before them: in pre-activation blocks the first one.
FAMILIES = {
    "small": (7, 0),
    "resnet8": (7, 0),
    "resnext29-2x64d": (31, 0),
    "wrn-16-4": (13, 6),
    "preact-resnet18": (17, 8),
    "mobilenet-v2": (57, 0),
    "resnet18-imagenet": (20, 0),
    "timm:efficientnet_b0": (49, 49),  # BatchNorm and activation are one module there
    "timm:vit_tiny_patch16_224": (0, 0),
}


def with_statistics(model: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    """BatchNorms that do something: statistics, scales and shifts away from 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
                nn.init.normal_(module.bias, 0, 0.1, generator=generator)
    return model.to(dtype).eval()


def make(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(name, K, 3, (0.5, 0.4, 0.3), (0.3, 0.25, 0.2), image_size=SIZE if "vit" in name else None)
    return with_statistics(add_virtual_classes(model, V), dtype)


def images(count: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1), dtype=dtype)


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


def logits_and_gradient(network: Callable[[Tensor], Tensor], pixels: Tensor) -> tuple[Tensor, Tensor]:
    pixels = pixels.clone().requires_grad_()
    logits = network(pixels).double()
    (gradient,) = torch.autograd.grad((logits * torch.arange(1, logits.shape[1] + 1)).sum(), pixels)
    return logits.detach(), gradient


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_gradients_are_those_of_the_original(name: str) -> None:
    model = make(name)
    network = inference_network(model, images())
    assert norms(model) == FAMILIES[name][0]
    assert network.folded == FAMILIES[name][0] - FAMILIES[name][1]
    assert norms(network) == (49 if "efficientnet" in name else 0)  # what is left is a multiply-add
    other = images(5).flip(0)  # another batch size than that of the samples
    logits, gradient = logits_and_gradient(network, other)
    expected, slope = logits_and_gradient(model, other)
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(gradient, slope, atol=1e-6 * float(slope.abs().max()), rtol=1e-6)
    assert gradient.is_contiguous()


@pytest.mark.parametrize("name", ["resnet8", "wrn-16-4"])
def test_the_virtual_rows_go_or_stay(name: str) -> None:
    model = make(name)
    with all_logits(model):
        expected = model(images())
    real, every = inference_network(model, images()), inference_network(model, images(), real_only=False)
    torch.testing.assert_close(every(images()).double(), expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(real(images()).double(), expected[:, :K], atol=1e-6, rtol=1e-6)
    assert real.body.fc.weight.shape[0] == K
    assert every.body.fc.weight.shape[0] == K + V


def test_the_original_stays_as_it_was() -> None:
    model = make("wrn-16-4", torch.float32).train()
    model(images(dtype=torch.float32)).sum().backward()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    sample = images(dtype=torch.float32)
    for dtype in (None, torch.bfloat16):
        network = inference_network(model, sample, dtype=dtype)
        assert not any(parameter.requires_grad or parameter.grad is not None for parameter in network.parameters())
        assert not any(module.training for module in network.modules())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
        assert value.stride() == before[key].stride()
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.requires_grad and parameter.grad is not None for parameter in model.parameters())
    assert model(sample).shape == (3, K + V)


def test_dropout_and_batch_statistics_are_off() -> None:
    layers = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 14 * 14, K))
    model = nn.Sequential(*layers)
    sample = images(dtype=torch.float32)
    network = inference_network(model.train(), sample)
    assert network.folded == 1
    assert torch.equal(network(sample), network(sample))
    torch.testing.assert_close(network(sample), model.eval()(sample))


def test_fold_false_keeps_every_batchnorm() -> None:
    network = inference_network(make("resnet8"), images(), fold=False)
    assert (network.folded, norms(network)) == (0, 7)
    torch.testing.assert_close(network(images()).double(), make("resnet8")(images()), atol=1e-6, rtol=1e-6)


def test_float32_within_float32() -> None:
    model, sample = make("resnet8", torch.float32), images(dtype=torch.float32)
    torch.testing.assert_close(inference_network(model, sample)(sample), model(sample), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["resnet8", "wrn-16-4", "mobilenet-v2", "timm:vit_tiny_patch16_224"])
def test_half_precision_is_near_and_its_classifier_exact(name: str) -> None:
    model, sample = make(name, torch.float32), images(dtype=torch.float32)
    network = inference_network(model, sample, dtype=torch.bfloat16)
    logits, gradient = logits_and_gradient(network, sample)
    expected, slope = logits_and_gradient(model, sample)
    assert (logits - expected).abs().max() < 0.05 * expected.abs().max()
    assert torch.cosine_similarity(gradient.flatten(), slope.flatten(), 0) > 0.9
    assert (gradient.dtype, gradient.is_contiguous()) == (torch.float32, True)
    # Logits that are sums of products in bfloat16 would be bfloat16 numbers.
    assert not torch.equal(logits, logits.bfloat16().double())
    assert network(sample).dtype == torch.float32


def test_channels_last_images_are_taken_too() -> None:
    model = make("resnet8")
    pixels = images().contiguous(memory_format=torch.channels_last).requires_grad_()
    logits = inference_network(model, images())(pixels)
    torch.testing.assert_close(logits.double(), model(images()), atol=1e-6, rtol=1e-6)


class Branching(nn.Module):
    """Cannot be traced as a whole: what it does depends on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.loose_norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, K)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.stem(pixels)
        if features.mean() > 0:
            features = self.loose_norm(features)
        return self.fc(features.mean((2, 3)))


class Unfollowable(Branching):
    """Asks its parts for what the traced ones no longer have."""

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.mean() > 2:
            return pixels.mean((2, 3))
        for layer in self.stem:
            pixels = layer(pixels)
        return self.fc(pixels.mean((2, 3)))


class Shared(nn.Module):
    """One convolution before two BatchNorms: its weights cannot hold both."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.two = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.fc = nn.Linear(3, K)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.fc(self.two(self.conv(self.one(self.conv(pixels)))).mean((2, 3)))


class Forked(Shared):
    """One convolution that a BatchNorm and another thing read."""

    def forward(self, pixels: Tensor) -> Tensor:
        out = self.conv(pixels)
        return self.fc((self.one(out) + self.two(out)).mean((2, 3)))


@pytest.mark.parametrize(
    ("kind", "folded", "left"), [(Branching, 1, 0), (Unfollowable, 0, 2), (Shared, 0, 0), (Forked, 0, 0)]
)
def test_what_cannot_be_folded_is_left(kind: type[nn.Module], folded: int, left: int) -> None:
    torch.manual_seed(0)
    model = with_statistics(kind())
    network = inference_network(model, images())
    assert (network.folded, norms(network)) == (folded, left)
    torch.testing.assert_close(network(images()).double(), model(images()), atol=1e-6, rtol=1e-6)


def test_around_and_within_other_modules() -> None:
    resized = Resized(make("resnet8"), (8, 8))
    checkpointed = make("resnet8")
    checkpoint_blocks(checkpointed)
    for model in (resized, checkpointed):
        network = inference_network(model, images())
        assert network.folded == 7
        torch.testing.assert_close(network(images()).double(), model(images()), atol=1e-6, rtol=1e-6)


def test_normalisation_stays_float32() -> None:
    model = make("resnet8", torch.float32)
    assert isinstance(model, NormalisedModel)
    network = inference_network(model, images(dtype=torch.float32), dtype=torch.bfloat16)
    assert isinstance(network, InferenceNetwork)
    assert network.normalise.mean.dtype == torch.float32
    assert network.body.conv1.weight.dtype == torch.bfloat16


def test_compile_compiles_and_keeps_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: calls.append(self))
    network = inference_network(make("small"), images(), compile=True)
    assert calls == [network]


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_the_network_can_be_compiled(dtype: torch.dtype | None) -> None:
    model, sample = make("wrn-16-4", torch.float32), images(dtype=torch.float32)
    network = inference_network(model, sample, dtype=dtype)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    logits, gradient = logits_and_gradient(compiled, sample)
    expected, slope = logits_and_gradient(network, sample)
    torch.testing.assert_close(logits, expected, atol=1e-2 if dtype else 1e-5, rtol=1e-5)
    assert torch.cosine_similarity(gradient.flatten(), slope.flatten(), 0) > 0.99
    assert gradient.is_contiguous()


@pytest.mark.parametrize(
    ("sample", "dtype", "message"),
    [
        (torch.zeros(3, 8, 8), None, r"sample_images must be floating point \(N, C, H, W\) .* \(3, 8, 8\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), None, r"sample_images .* torch\.uint8"),
        (torch.zeros(0, 3, 8, 8), None, "with N >= 1"),
        (torch.zeros(2, 3, 8, 8), torch.int8, r"dtype must be floating point, such as .*, got torch\.int8"),
    ],
)
def test_bad_input_is_named(sample: Tensor, dtype: torch.dtype | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inference_network(make("small", torch.float32), sample, dtype=dtype)


@pytest.mark.parametrize("real_only", [True, False], ids=["real", "all"])
@pytest.mark.parametrize("name", ["resnet8", "wrn-16-4", "timm:efficientnet_b0", "timm:vit_tiny_patch16_224"])
def test_new_weights_are_taken_over_without_folding_again(name: str, real_only: bool) -> None:
    model = make(name)
    network = inference_network(model, images(), real_only=real_only)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.mul_(1.1).add_(0.01)
    network.follow(model)
    with all_logits(model) as wide:
        expected = (model if real_only else wide)(images())[:, : K if real_only else K + V]
    torch.testing.assert_close(network(images()).double(), expected.float().double(), rtol=1e-5, atol=1e-5)


def test_new_weights_are_taken_over_in_half_precision() -> None:
    model = make("resnet8", torch.float32)
    network = inference_network(model, images(dtype=torch.float32), dtype=torch.bfloat16)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
    network.follow(model)
    anew = inference_network(model, images(dtype=torch.float32), dtype=torch.bfloat16)
    assert {weight.dtype for weight in network.parameters()} == {torch.bfloat16, torch.float32}
    torch.testing.assert_close(network(images(dtype=torch.float32)), anew(images(dtype=torch.float32)))
