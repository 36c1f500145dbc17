"""The residual blocks against torchvision's and timm's, with the same weights."""

from __future__ import annotations

import pytest
import torch
from timm.layers import BatchNormAct2d, create_conv2d
from timm.models.resnetv2 import DownsampleConv, PreActBasic
from torch import nn
from torchvision.models import mobilenetv2, resnet

from vsmooth.models import PreActResNet, preact_resnet18
from vsmooth.models.mobilenet_v2 import InvertedResidual
from vsmooth.models.preact_resnet import PreActBlock
from vsmooth.models.resnet_cifar import BasicBlock, Bottleneck, narrow_resnet, projection_shortcut


def with_weights_of(block: nn.Module, theirs: nn.Module) -> nn.Module:
    """Random weights and statistics in `theirs`, copied in order: as they are computed, the shortcut's last."""
    torch.manual_seed(0)
    for tensor in (*theirs.parameters(), *(b for b in theirs.buffers() if b.is_floating_point())):
        nn.init.uniform_(tensor, 0.5 if tensor.ndim == 1 else -0.3, 1.0 if tensor.ndim == 1 else 0.3)
    other = sorted(theirs.state_dict().items(), key=lambda item: item[0].startswith("downsample"))
    block.load_state_dict({name: tensor for name, (_, tensor) in zip(block.state_dict(), other, strict=True)})
    return block


def assert_same_map(block: nn.Module, theirs: nn.Module, channels: int) -> None:
    images = torch.randn(4, channels, 8, 8)
    for mode in (True, False):  # by the statistics of the batch, then by the running ones
        torch.testing.assert_close(block.train(mode)(images), theirs.train(mode)(images))


@pytest.mark.parametrize(("inside", "outside", "stride"), [(8, 8, 1), (8, 16, 2), (8, 16, 1), (8, 8, 2)])
def test_basic_block_is_torchvisions(inside: int, outside: int, stride: int) -> None:
    shortcut = None if stride == 1 and inside == outside else projection_shortcut(inside, outside, stride)
    theirs = resnet.BasicBlock(inside, outside, stride, shortcut)
    block = BasicBlock(inside, outside, stride, projection_shortcut)
    assert_same_map(with_weights_of(block, theirs), theirs, inside)


@pytest.mark.parametrize(("cardinality", "width"), [(1, 64), (2, 64), (8, 4)])
@pytest.mark.parametrize(("inside", "stride"), [(256, 1), (128, 2)])
def test_bottleneck_is_torchvisions(cardinality: int, width: int, inside: int, stride: int) -> None:
    shortcut = projection_shortcut(inside, 256, stride) if inside != 256 else None
    theirs = resnet.Bottleneck(inside, 64, stride, shortcut, groups=cardinality, base_width=width)
    block = Bottleneck(inside, 256, stride, cardinality, width)
    assert_same_map(with_weights_of(block, theirs), theirs, inside)


@pytest.mark.parametrize(("inside", "outside", "stride"), [(8, 8, 1), (8, 16, 2)])
def test_inverted_residual_is_torchvisions(inside: int, outside: int, stride: int) -> None:
    theirs = mobilenetv2.InvertedResidual(inside, outside, stride, expand_ratio=6)
    block = InvertedResidual(inside, outside, stride, expansion=6)
    assert_same_map(with_weights_of(block, theirs), theirs, inside)


def test_an_inverted_residual_of_other_width_projects_its_shortcut() -> None:
    block = InvertedResidual(8, 16, 1, expansion=6).eval()
    images = torch.randn(2, 8, 4, 4)
    nn.init.zeros_(block.bn3.weight)
    torch.testing.assert_close(block(images), block.shortcut(images))
    assert InvertedResidual(8, 16, 2, expansion=6).shortcut is None


@pytest.mark.parametrize(("inside", "outside", "stride"), [(8, 8, 1), (8, 16, 2)])
def test_pre_activation_block_is_timms(inside: int, outside: int, stride: int) -> None:
    layers = {"conv_layer": create_conv2d, "norm_layer": BatchNormAct2d, "proj_layer": DownsampleConv}
    theirs = PreActBasic(inside, outside, stride=stride, **layers)
    block = PreActBlock(inside, outside, stride)
    assert_same_map(with_weights_of(block, theirs), theirs, inside)


def test_the_stem_is_activated_before_the_first_block_splits() -> None:
    network = preact_resnet18(10).eval()
    stem = network.conv1(torch.randn(2, 3, 8, 8))
    first, second = network.blocks[:2]
    for block, passes_on in ((first, first.bn1(stem).relu()), (second, stem)):
        nn.init.zeros_(block.conv2.weight)
        torch.testing.assert_close(block(stem), passes_on)


def test_pre_activation_networks_activate_once_more_at_the_end() -> None:
    network = PreActResNet(5, 3, (1, 1), (4, 8), stem_width=4).eval()
    nn.init.constant_(network.bn.bias, -1e6)
    torch.testing.assert_close(network(torch.rand(2, 3, 8, 8)), network.fc.bias.expand(2, 5))


def test_dropout_is_between_the_convolutions() -> None:
    block = PreActBlock(4, 4, 1, dropout=1.0).train()
    images = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(images), images)  # all of the second convolution's input is dropped
    assert not torch.equal(block.eval()(images), images)


@pytest.mark.parametrize("depth", [2, 9, 18])
def test_depths_that_no_narrow_resnet_has(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"depth must be 6n \+ 2 \(8, 20, .*\), got {depth}"):
        narrow_resnet(depth, 10)
