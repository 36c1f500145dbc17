"""Residual networks whose blocks normalise and activate before they convolve.

He et al., "Identity Mappings in Deep Residual Networks" (2016b): Fig. 4e for the block, the appendix for its first and
last use. Wide residual networks (`wide_resnet`) are of this form too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from vsmooth.models.resnet_cifar import initialise_convolutions, stack_blocks


class PreActBlock(nn.Module):
    """BatchNorm, ReLU, 3x3 convolution, twice, plus the input; dropout before the second convolution.

    Where the shape changes a strided 1x1 convolution of the activated input stands in for the input; in the first block
    of a network (`first`) the identity starts from the activated input too.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, dropout: float = 0.0, *, first: bool = False
    ) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        self.shares_activation = first or not same

    def forward(self, images: Tensor) -> Tensor:
        activated = functional.relu(self.bn1(images), inplace=True)
        out = functional.relu(self.bn2(self.conv1(activated)), inplace=True)
        out = self.conv2(self.dropout(out))
        out += self.shortcut(activated if self.shares_activation else images)
        return out


class PreActResNet(nn.Module):
    """Images (N, C, H, W) to logits (N, K): a 3x3 stem, stages of `depths` blocks, BatchNorm and ReLU, the mean, `fc`.

    Every stage but the first halves the size. ReLU follows the stem before it splits into the first block and its
    shortcut (He et al. 2016b, appendix).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        depths: Sequence[int],
        widths: Sequence[int],
        *,
        stem_width: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")

        self.conv1 = nn.Conv2d(in_channels, stem_width, 3, 1, 1, bias=False)
        first = PreActBlock(stem_width, widths[0], 1, dropout, first=True)
        later = stack_blocks(widths[0], (depths[0] - 1, *depths[1:]), widths, partial(PreActBlock, dropout=dropout))
        self.blocks = nn.Sequential(first, *later)
        self.bn = nn.BatchNorm2d(widths[-1])
        self.fc = nn.Linear(widths[-1], num_classes)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        features = functional.relu(self.bn(self.blocks(self.conv1(images))), inplace=True)
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits


def preact_resnet18(num_classes: int, in_channels: int = 3) -> PreActResNet:
    """PreAct ResNet-18 for 32x32 images: the stages of ResNet-18 on a 3x3 stem, with pre-activation blocks.

    11,172,170 parameters for 10 classes and RGB: ResNet-18's 11,173,962, less the BatchNorm of the stem (128) and of
    the projections (2 * (128 + 256 + 512) = 1,792), less 2 * (512 - 64) = 896 because the first BatchNorm of a block is
    as wide as its input, plus the last one (1,024). Code without that last BatchNorm and ReLU, which the paper has
    (appendix), counts 11,171,146. MACs at 32x32: 0.555 G; github.com/zhengxiawu/pytorch_cls says 556 M.
    """
    return PreActResNet(num_classes, in_channels, (2, 2, 2, 2), (64, 128, 256, 512), stem_width=64)
