"""Gradient checkpointing changes memory, nothing else: weights, gradients and buffers are those without it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vsmooth import add_virtual_classes
from vsmooth.models import T2TViT, build_model, checkpoint_blocks, wide_resnet

IMAGES, LABELS = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(4)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet8": partial(build_model, "resnet8", 4),
    "WRN with dropout": partial(wide_resnet, 10, 1, 4, dropout=0.3),
    "mobilenet-v2": partial(build_model, "mobilenet-v2", 4),
    "timm's ResNet with stochastic depth": partial(build_model, "resnet18-imagenet", 4, drop_path=0.3),
    "T2T-ViT with stochastic depth": partial(
        T2TViT, 4, depth=2, width=12, heads=2, image_size=16, drop_path=0.5
    ),
    "timm's ViT": partial(build_model, "timm:vit_tiny_patch16_224", 4, image_size=16),
}


def train_a_step(model: nn.Module, forward: Callable[[Tensor], Tensor] | None = None) -> None:
    torch.manual_seed(1)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    cross_entropy((model if forward is None else forward)(IMAGES), LABELS).backward()
    optimizer.step()


def bytes_kept(model: nn.Module) -> int:
    """Bytes of activations that wait for the backward pass."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model(IMAGES)
    assert logits.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_ends_with_the_same_weights_gradients_and_buffers(name: str) -> None:
    torch.manual_seed(0)
    model = NETWORKS[name]()
    recomputing = copy.deepcopy(model)
    checkpoint_blocks(recomputing)
    for either in (model, recomputing):
        train_a_step(either)
        train_a_step(either)
    assert list(recomputing.state_dict()) == list(model.state_dict())
    for tensor, other in zip(recomputing.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(tensor, other)
    for own, other in zip(recomputing.parameters(), model.parameters(), strict=True):
        assert own.grad is None if other.grad is None else torch.equal(own.grad, other.grad)
    counts = [int(n) for key, n in recomputing.state_dict().items() if key.endswith("num_batches_tracked")]
    assert set(counts) <= {2}


@pytest.mark.parametrize("name", ["resnet8", "mobilenet-v2", "timm's ResNet with stochastic depth", "timm's ViT"])
def test_fewer_activations_are_kept(name: str) -> None:
    model = NETWORKS[name]()
    recomputing = copy.deepcopy(model)
    checkpoint_blocks(recomputing)
    assert bytes_kept(recomputing) < 0.6 * bytes_kept(model)


def test_also_under_autocast_and_compiled() -> None:
    torch.manual_seed(0)
    model = build_model("resnet8", 4)
    recomputing = copy.deepcopy(model)
    checkpoint_blocks(recomputing)
    with torch.autocast("cpu", torch.bfloat16):
        train_a_step(model)
        train_a_step(recomputing)
    train_a_step(model)
    train_a_step(recomputing, torch.compile(recomputing, backend="aot_eager", fullgraph=True))
    for tensor, other in zip(recomputing.state_dict().values(), model.state_dict().values(), strict=True):
        torch.testing.assert_close(tensor, other)


def test_a_copy_recomputes_its_own_blocks() -> None:
    model = build_model("resnet8", 4)
    checkpoint_blocks(model)
    average = copy.deepcopy(model).requires_grad_(False)
    nn.init.zeros_(average.network.fc.weight)
    nn.init.zeros_(average.network.blocks[0].conv1.weight)
    assert model.network.blocks[0].conv1.weight.any()
    assert torch.equal(average.eval()(IMAGES), average.network.fc.bias.expand(4, 4))


def test_virtual_classes_before_or_after_and_twice_over() -> None:
    model = build_model("resnet8", 4)
    checkpoint_blocks(model)
    add_virtual_classes(model, 2)
    checkpoint_blocks(model)
    assert model(IMAGES).shape == (4, 6)
    with torch.no_grad():
        assert model.eval()(IMAGES).shape == (4, 4)


def test_a_network_without_blocks_is_named() -> None:
    message = r"{} has no residual blocks that can be recomputed \(looked for blocks, .*\): leave .* off"
    with pytest.raises(ValueError, match=message.format("VGG")):
        checkpoint_blocks(build_model("timm:vgg11", 4))
    with pytest.raises(ValueError, match=message.format("Sequential")):
        checkpoint_blocks(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
