"""A small network for quick experiments: thousands of small grey images per second on a laptop CPU."""

from __future__ import annotations

from vsmooth.models.resnet_cifar import CifarResNet, narrow_resnet


def small(num_classes: int, in_channels: int = 1) -> CifarResNet:
    """A ResNet-8 with half the resolution: the stem already strides, so 28x28 is seen at 14x14, 7x7 and 4x4.

    75,002 parameters for 10 classes and grey images: convolutions 144 + 4,608 + 13,824 + 55,296 = 73,872;
    BatchNorm 2 * (3 * 16 + 2 * 32 + 2 * 64) = 480; classifier 650. Blocks of He et al. (2016), Sec. 4.2, with
    option A shortcuts.
    """
    return narrow_resnet(8, num_classes, in_channels, stem_stride=2)
