"""MobileNet-V2 for 32x32 images."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from vsmooth.models.resnet_cifar import initialise_convolutions, projection_shortcut

# Expansion t, out channels c, blocks n, stride s: Sandler et al. (2018), Table 2. For images of 32x32 instead of
# 224x224 the second row has stride 1, and the stem too.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear (Sandler et al. 2018, Table 1), and a shortcut at stride 1."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * in_channels
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module | None = None
        if stride == 1:
            same = in_channels == out_channels
            self.shortcut = nn.Identity() if same else projection_shortcut(in_channels, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        out = functional.relu6(self.bn1(self.conv1(images)), inplace=True)
        out = functional.relu6(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        if self.shortcut is not None:
            out += self.shortcut(images)
        return out


class MobileNetV2(nn.Module):
    """MobileNet-V2 of Sandler et al. (2018), Table 2: images (N, C, H, W) to logits (N, K); the classifier is `fc`.

    2,296,922 parameters for 10 classes and RGB, the count usual on CIFAR (github.com/kuangliu/pytorch-cifar). The
    paper's block, without a shortcut where the channels change, makes 2,237,770: the projections 32-16, 16-24, 64-96
    and 160-320 add 512 + 384 + 6,144 + 51,200 weights and 2 * (16 + 24 + 96 + 320) in BatchNorm, 59,152. Both have the
    1x1 of the first block (t = 1; 1,024 weights and 64), which common ImageNet code leaves out. Activations are the
    paper's ReLU6; that CIFAR code has ReLU.

    MACs at 32x32: 91.2 M. github.com/chenyaofo/pytorch-cifar-models says 87.98 M without the projections (2.13 M) and
    that 1x1 (1.05 M); 94.61 M, often seen, counts 2 for each of the 1.725 M values that pass a BatchNorm.
    """

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        blocks, channels = [], 32
        for expansion, width, count, stride in _STAGES:
            for block in range(count):
                blocks.append(InvertedResidual(channels, width, stride if block == 0 else 1, expansion))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = nn.Conv2d(channels, 1280, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1280)
        self.fc = nn.Linear(1280, num_classes)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu6(self.bn1(self.conv1(images)), inplace=True)
        features = functional.relu6(self.bn2(self.conv2(self.blocks(features))), inplace=True)
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits
