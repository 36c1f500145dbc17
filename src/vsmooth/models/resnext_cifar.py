"""ResNeXt-29 for 32x32 images: three stages of three grouped bottlenecks."""

from __future__ import annotations

from functools import partial

from vsmooth.models.resnet_cifar import Bottleneck, CifarResNet


def resnext29(cardinality: int, group_width: int, num_classes: int, in_channels: int = 3) -> CifarResNet:
    """ResNeXt-29 (`cardinality` x `group_width`d) of Xie et al. (2017), Sec. 5.3: stages of 256, 512, 1024 channels.

    Parameters for 10 classes and RGB: (2x64d) 9,128,778, (4x64d) 17,560,906, (8x64d) 34,425,162, 34.4M in the paper's
    Table 7. A block from c to w channels (w = 256, 512, 1024), i = cardinality * group_width * w / 256 of them inside,
    has c i + 9 i^2 / cardinality + i w weights and 4 i + 2 w in BatchNorm, the first of a stage also c w + 2 w in its
    projection; stem 3 * 64 + 128, classifier 10,250.

    The stem is a 1x1 convolution: the 9,128,778 that is usual for this network comes from one (github.com/kuangliu/
    pytorch-cifar). The 3x3 of the paper has 3 * 64 * 8 = 1,536 weights more: 9,130,314. In that code stages also widen
    with the inner channels: the same for 2x64d, but 27,104,586 parameters for 4x64d; here widths are the paper's.

    MACs at 32x32: 1.409 G (2x64d); github.com/zhengxiawu/pytorch_cls says 1416 M.
    """
    block = partial(Bottleneck, cardinality=cardinality, group_width=group_width)
    return CifarResNet(num_classes, in_channels, (3, 3, 3), (256, 512, 1024), block, stem_width=64, stem_kernel=1)


resnext29_2x64d = partial(resnext29, 2, 64)
resnext29_4x64d = partial(resnext29, 4, 64)
