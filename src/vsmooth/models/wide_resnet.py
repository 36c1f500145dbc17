"""Wide residual networks: WRN-d-k has d layers and stages k times as wide as those of the narrow CIFAR networks."""

from __future__ import annotations

from vsmooth.models.preact_resnet import PreActResNet


def wide_resnet(
    depth: int, width: int, num_classes: int, in_channels: int = 3, dropout: float = 0.0
) -> PreActResNet:
    """WRN-d-k of Zagoruyko and Komodakis (2016), Table 1: d = 6n + 4, three stages of n blocks B(3, 3).

    `dropout` is that between the convolutions of a block (their Sec. 2.4; 0.3 on CIFAR and SVHN). WRN-34-10 is the
    network of adversarial training (Madry et al. 2018; Zhang et al. 2019, TRADES).

    Parameters for 10 classes and RGB: WRN-28-10 36,479,194, WRN-34-10 46,160,474, WRN-34-20 184,531,674, WRN-40-2
    2,243,546, WRN-40-4 8,949,210, WRN-16-4 2,748,890 (their Table 5: 36.5M for 28-10, 8.9M for 40-4). With
    w = 16k, 32k, 64k and c the channels before: the first block of a stage has 9 c w + 9 w^2 + c w weights and
    2 c + 2 w in BatchNorm, each other 18 w^2 and 4 w; stem 432, last BatchNorm 128k, classifier 640k + 10.

    MACs at 32x32: 5.24 G for WRN-28-10 (github.com/osmr/imgclsmob: 5,246.98 M; 5.20 G in Huang et al., "Revisiting
    Residual Networks for Adversarial Robustness", 2023). ValueError where depth is not 6n + 4.
    """
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise ValueError(f"depth must be 6n + 4 (10, 16, 22, 28, 34, 40), got {depth}")
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    widths = (16 * width, 32 * width, 64 * width)
    return PreActResNet(num_classes, in_channels, (blocks,) * 3, widths, stem_width=16, dropout=dropout)
