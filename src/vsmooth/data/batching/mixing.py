"""Mixing the images of a batch and their labels: MixUp and CutMix, by torchvision v2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vsmooth.bounds import check_most
from vsmooth.data.extras import import_extra

_MOST = 1000


@dataclass(frozen=True)
class Mixing:
    """Mixes each image, and its label, with its neighbour in the batch.

    MixUp: x = l a + (1 - l) b, y = l y_a + (1 - l) y_b with l from Beta(mixup, mixup), one l for a batch.
    CutMix: a rectangle of b that covers the share 1 - l of the area is pasted into a; l from Beta(cutmix, cutmix).
    With both, one of the two is chosen for each batch with probability 1/2, as in timm.
    Limits: no mixing if both are 0 (`NO_MIXING`).
    Errors: ValueError for a negative number, and for more than 1,000.
    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"; Yun et al. 2019, "CutMix".
    """

    mixup: float = 0.0
    """parameter of the Beta distribution of MixUp (the paper's T2T-ViT: 0.8); 0: no MixUp"""
    cutmix: float = 0.0
    """parameter of the Beta distribution of CutMix (usually 1.0); 0: no CutMix"""

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 (none) or a positive Beta parameter, got {getattr(self, name)}")
            check_most(name, getattr(self, name), _MOST, "all mixtures are half and half by then")


NO_MIXING = Mixing()


def check_mixing(mixing: Mixing, num_classes: int | None) -> None:
    """Check that K is known, because a mixed label has K numbers. Errors: ValueError."""
    if mixing != NO_MIXING and num_classes is None:
        raise ValueError(f"{mixing} makes labels over K classes; give num_classes")


def mix(images: Tensor, labels: Tensor, mixing: Mixing, num_classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) float and (B,) int64 -> mixed images of the same shape, (B, K) float32 probabilities.

    What is drawn depends on `seed` alone; the state of torch's global generator is restored. The label scheme (one-hot,
    label or virtual smoothing) is applied afterwards: all three losses are linear in the K-way label, so mixing the
    losses gives the same value.
    """
    if not len(images):  # a rank's share of a last batch may be empty
        return images, functional.one_hot(labels, num_classes).float()
    transforms = import_extra("torchvision.transforms.v2", "MixUp and CutMix")
    kinds = []
    if mixing.mixup:
        kinds.append(transforms.MixUp(alpha=mixing.mixup, num_classes=num_classes))
    if mixing.cutmix:
        kinds.append(transforms.CutMix(alpha=mixing.cutmix, num_classes=num_classes))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        mixed, probabilities = transforms.RandomChoice(kinds)(images, labels)
    return mixed, probabilities
