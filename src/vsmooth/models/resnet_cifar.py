"""Residual networks for small images: a 3x3 stem, then stages of residual blocks, each of half the size.

He et al., "Deep Residual Learning for Image Recognition" (2016): Sec. 4.2 for the narrow CIFAR networks,
Table 1 for the layouts of ResNet-18, -34 and -50, whose 7x7 stem and max pool are left out for 32x32 images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

Shortcut = Callable[[int, int, int], nn.Module]
BlockMaker = Callable[[int, int, int], nn.Module]
"""in channels, out channels, stride -> a residual block"""


class ZeroPadShortcut(nn.Module):
    """Option A of He et al.: every `stride`-th pixel, and zeros in the new channels; no parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, images: Tensor) -> Tensor:
        strided = images[:, :, :: self.stride, :: self.stride]
        return functional.pad(strided, (0, 0, 0, 0, 0, self.new_channels))


def projection_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Option B of He et al.: a strided 1x1 convolution and BatchNorm."""
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is the identity where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else shortcut(in_channels, out_channels, stride)

    def forward(self, images: Tensor) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(images)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += self.shortcut(images)
        return functional.relu(out, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 in `cardinality` groups, 1x1, and a shortcut; cardinality 1 is the bottleneck of He et al. (2016).

    Inner channels are cardinality * group_width at 256 out channels, and in proportion at others (Xie et al.,
    "Aggregated Residual Transformations for Deep Neural Networks", 2017, Fig. 3c and Table 1). As there, the 3x3
    convolution strides; He et al. let the first 1x1 do it, which leaves out three of four pixels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, cardinality: int = 1, group_width: int = 64
    ) -> None:
        super().__init__()
        inner = cardinality * group_width * out_channels // 256
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=cardinality, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else projection_shortcut(in_channels, out_channels, stride)

    def forward(self, images: Tensor) -> Tensor:
        out = functional.relu(self.bn1(self.conv1(images)), inplace=True)
        out = functional.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        out += self.shortcut(images)
        return functional.relu(out, inplace=True)


class CifarResNet(nn.Module):
    """Images (N, C, H, W) to logits (N, K); `depths` are blocks per stage, `widths` their out channels.

    Every stage but the first halves the size. `stem_stride` 2 halves it at once too. The classifier is `fc`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        depths: Sequence[int],
        widths: Sequence[int],
        make_block: BlockMaker,
        *,
        stem_width: int | None = None,
        stem_kernel: int = 3,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        stem_width = widths[0] if stem_width is None else stem_width
        self.conv1 = nn.Conv2d(in_channels, stem_width, stem_kernel, stem_stride, stem_kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_width)
        self.blocks = nn.Sequential(*stack_blocks(stem_width, depths, widths, make_block))
        self.fc = nn.Linear(widths[-1], num_classes)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.bn1(self.conv1(images)), inplace=True)
        logits: Tensor = self.fc(self.blocks(features).mean((2, 3)))
        return logits


def stack_blocks(
    in_channels: int, depths: Sequence[int], widths: Sequence[int], make_block: BlockMaker
) -> list[nn.Module]:
    """The blocks of all stages in a row; the first block of every stage but the first has stride 2."""
    blocks = []
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for block in range(depth):
            blocks.append(make_block(in_channels, width, 2 if stage > 0 and block == 0 else 1))
            in_channels = width
    return blocks


@torch.no_grad()
def initialise_convolutions(network: nn.Module) -> None:
    """Convolutions normal with variance 2 / (k^2 out_channels): He et al. (2015), Eq. 14, for the backward pass."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def narrow_resnet(
    depth: int, num_classes: int, in_channels: int = 3, width: int = 16, stem_stride: int = 1
) -> CifarResNet:
    """ResNet of 6n + 2 layers (He et al. 2016, Sec. 4.2): three stages of n blocks, option A shortcuts.

    Parameters for 10 classes and RGB: ResNet-20 269,722, ResNet-32 464,154, ResNet-56 853,018 (Table 6: 0.27M, 0.46M,
    0.85M), ResNet-8 75,290. ResNet-20: convolutions 432 + 6 * 2,304 + (4,608 + 5 * 9,216) + (18,432 + 5 * 36,864) =
    267,696; BatchNorm 2 * (7 * 16 + 6 * 32 + 6 * 64) = 1,376; classifier 650. Each n adds 2 * (2,304 + 9,216 +
    36,864) + 4 * (16 + 32 + 64) = 97,216. (Option B, common in code, would add 2,752.)

    MACs at 32x32: 40.6, 68.9 and 125.5 M; github.com/chenyaofo/pytorch-cifar-models says 40.81, 69.12 and 125.75 M
    with option B. ValueError where depth is not 6n + 2.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"depth must be 6n + 2 (8, 20, 32, 44, 56, 110), got {depth}")
    widths = (width, 2 * width, 4 * width)
    block = partial(BasicBlock, shortcut=ZeroPadShortcut)
    return CifarResNet(num_classes, in_channels, (blocks,) * 3, widths, block, stem_stride=stem_stride)


def full_width_resnet(
    depths: Sequence[int], num_classes: int, in_channels: int = 3, width: int = 64, *, bottleneck: bool = False
) -> CifarResNet:
    """The stages of He et al. (2016), Table 1, on a 3x3 stem without pooling; projection shortcuts (option B).

    Parameters for 10 classes and RGB: ResNet-18 11,173,962, ResNet-34 21,282,122, ResNet-50 23,520,842; MACs at 32x32:
    0.555, 1.159 and 1.298 G; github.com/zhengxiawu/pytorch_cls says 556, 1161 and 1304 M. Half the width (32) makes a
    ResNet-18 of 2.8 M parameters. For 64x64 images (Tiny-ImageNet) the network is the same: 11,271,432 parameters for
    200 classes, and a last stage of 8x8, next to the 7x7 of ImageNet.
    """
    block = Bottleneck if bottleneck else partial(BasicBlock, shortcut=projection_shortcut)
    widths = [width * 2**stage * (4 if bottleneck else 1) for stage in range(4)]
    return CifarResNet(num_classes, in_channels, depths, widths, block, stem_width=width)


resnet8 = partial(narrow_resnet, 8)
resnet20 = partial(narrow_resnet, 20)
resnet32 = partial(narrow_resnet, 32)
resnet56 = partial(narrow_resnet, 56)
resnet18 = partial(full_width_resnet, (2, 2, 2, 2))
resnet34 = partial(full_width_resnet, (3, 4, 6, 3))
resnet50 = partial(full_width_resnet, (3, 4, 6, 3), bottleneck=True)
