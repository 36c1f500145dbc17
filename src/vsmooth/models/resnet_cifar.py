"""Residual networks for small images: a 3x3 stem, then stages of basic blocks, each of half the size.

He et al., "Deep Residual Learning for Image Recognition" (2016): Sec. 4.2 for the narrow CIFAR networks,
Table 1 for the ResNet-18 layout, whose 7x7 stem and max pool are left out for 32x32 images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Shortcut = Callable[[int, int, int], nn.Module]


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


class CifarResNet(nn.Module):
    """Images (N, C, H, W) to logits (N, K); `depths` are blocks per stage, `widths` their channels.

    Every stage but the first halves the size. `stem_stride` 2 halves it at once too. The classifier is `fc`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        depths: Sequence[int],
        widths: Sequence[int],
        shortcut: Shortcut,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, stem_stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        blocks: list[nn.Module] = []
        previous = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(previous, width, stride, shortcut))
                previous = width
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(previous, num_classes)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.bn1(self.conv1(images)), inplace=True)
        logits: Tensor = self.fc(self.blocks(features).mean((2, 3)))
        return logits

    @torch.no_grad()
    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resnet20(num_classes: int, in_channels: int = 3, width: int = 16) -> CifarResNet:
    """ResNet-20 of He et al. (2016), Sec. 4.2: three stages of three blocks, option A shortcuts.

    269,722 parameters for 10 classes and RGB ("0.27M" in their Table 6): convolutions 432 + 6 * 2,304 +
    (4,608 + 5 * 9,216) + (18,432 + 5 * 36,864) = 267,696; BatchNorm 2 * (7 * 16 + 6 * 32 + 6 * 64) = 1,376;
    classifier 650. (Option B, common in code, would add 2,752: 272,474.)
    """
    return CifarResNet(num_classes, in_channels, (3, 3, 3), (width, 2 * width, 4 * width), ZeroPadShortcut)


def resnet18(num_classes: int, in_channels: int = 3, width: int = 64) -> CifarResNet:
    """ResNet-18 for 32x32 images: the stages of He et al. (2016), Table 1, on a 3x3 stem without pooling.

    11,173,962 parameters for 10 classes and RGB; projection shortcuts. Half the width (32) has 2.8 M.
    """
    widths = (width, 2 * width, 4 * width, 8 * width)
    return CifarResNet(num_classes, in_channels, (2, 2, 2, 2), widths, projection_shortcut)
