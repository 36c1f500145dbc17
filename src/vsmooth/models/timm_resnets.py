"""The residual networks of timm for ImageNet, and one of them with a stem for 64x64 images (Tiny-ImageNet)."""

from __future__ import annotations

from functools import partial

from torch import nn

from vsmooth.models.resnet_cifar import initialise_convolutions
from vsmooth.models.timm_bridge import build_timm


def timm_resnet(name: str, num_classes: int, in_channels: int = 3, *, drop_path: float = 0.0) -> nn.Module:
    """ResNet-18 (He et al. 2016, Table 1) or ResNeXt-50 32x4d (Xie et al. 2017, Table 1) for 224x224 images, by timm.

    Parameters for 1000 classes and RGB: 11,689,512 and 25,028,904 (Xie et al.: 25.0M); MACs at 224x224: 1.8 and 4.2 G
    in those tables. timm starts the last BatchNorm of a block at 0 (Goyal et al. 2017, Sec. 5.1); the papers do not.
    """
    return build_timm(name, num_classes, in_channels, drop_path=drop_path)


def resnext50_tiny(num_classes: int, in_channels: int = 3, *, drop_path: float = 0.0) -> nn.Module:
    """ResNeXt-50 32x4d for 64x64 images: a 3x3 stem of stride 1, no max pool, then the stages of timm's network.

    The last stage then sees 8x8, next to the 7x7 of ImageNet; a stem of stride 2 would leave 4x4, the one of ImageNet
    2x2. 23,382,024 parameters for 200 classes and RGB: 25,028,904 less 64 * 3 * (49 - 9) = 7,680 in the stem and
    800 * 2,049 = 1,639,200 in the classifier. MACs at 64x64: 5.38 G, those of the stages at 224x224 times (64 / 56)^2.
    """
    network = timm_resnet("resnext50_32x4d", num_classes, in_channels, drop_path=drop_path)
    network.conv1 = nn.Conv2d(in_channels, 64, 3, 1, 1, bias=False)
    initialise_convolutions(network.conv1)
    network.maxpool = nn.Identity()
    return network


resnet18_imagenet = partial(timm_resnet, "resnet18")
resnext50_imagenet = partial(timm_resnet, "resnext50_32x4d")
