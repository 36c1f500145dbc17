"""Small classifiers of which the best attack is known, and every attack there is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vsmooth.attacks import (
    FGSM,
    PGD,
    AdaptiveMargin,
    Attack,
    LambdaSweep,
    MultiTargetPGD,
    Target,
    ThreatModel,
    Transfer,
    cw20,
)

CLASSES, VIRTUAL = 4, 3


def target_of(logits: Callable[[Tensor], Tensor], num_classes: int) -> Target:
    """Crafted on all that `logits` gives, decided by the first K."""
    return Target(num_classes, logits, lambda images: logits(images)[:, :num_classes])


def network(seed: int = 0, classes: int = CLASSES, virtual: int = VIRTUAL) -> nn.Module:
    torch.manual_seed(seed)
    layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, classes + virtual))
    return nn.Sequential(*layers).eval().requires_grad_(False)


def images_and_labels(target: Target, count: int = 12, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random images with pixels at both bounds; the labels are what the target says, but for the last two."""
    images = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    images[:, :, 0], images[:, :, 1] = 0, 1
    labels = target.decide(images).argmax(1)
    labels[-2:] = (labels[-2:] + 1) % target.num_classes
    return images, labels


def every_attack() -> list[Attack]:
    source = target_of(network(seed=5, virtual=0), CLASSES)
    return [
        FGSM(),
        FGSM("margin"),
        PGD(steps=3),
        PGD("kl", steps=3, random_start=True),
        PGD("dlr", steps=3, rule="cosine", restarts=2),
        PGD("margin", steps=3, rule="momentum", keep="best", random_start=True),
        PGD(AdaptiveMargin(0.5), steps=3, restarts=3, keep="best"),
        PGD(steps=2, step_size=1.0),
        cw20(),
        MultiTargetPGD(steps=3, restarts=2),
        LambdaSweep(steps=3),
        Transfer(source, PGD(steps=3, random_start=True)),
    ]


THREATS = [
    ThreatModel("linf", 8 / 255),
    ThreatModel("linf", 0.3),
    ThreatModel("linf", 1.0),
    ThreatModel("l2", 0.5),
    ThreatModel("l2", 3.0),
]
