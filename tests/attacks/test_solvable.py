"""Classifiers of which the best attack is known: the attacks must reach it."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from attack_builders import target_of
from torch import Tensor

from vsmooth.attacks import FGSM, PGD, Attack, MultiTargetPGD, Target, ThreatModel, cw20

ATTACKS = [
    FGSM("margin"),
    cw20(),
    PGD(),
    PGD(rule="momentum"),
    PGD("dlr", rule="cosine"),
    PGD("margin", steps=60, step_size=0.05, random_start=True),
]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def grey(count: int, pixels: int) -> Tensor:
    """Images of one channel away from the bounds."""
    return 0.3 + 0.4 * torch.rand(count, 1, 1, pixels, generator=generator())


def binary(margin_of_images: object, pad: int = 1) -> Target:
    """Class 1 is `margin` ahead of class 0; the rest are far below, there for DLR's third logit."""

    def logits(images: Tensor) -> Tensor:
        ahead = margin_of_images(images.flatten(1))  # type: ignore[operator]
        return torch.stack([torch.zeros_like(ahead), ahead, *[torch.full_like(ahead, -30.0)] * pad], 1)

    return target_of(logits, 2 + pad)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_linear_classifier(attack: Attack, norm: str) -> None:
    pixels, epsilon = 9, 0.1
    weights = torch.randn(pixels, generator=generator())
    threat = ThreatModel(norm, epsilon)  # type: ignore[arg-type]
    images, direction = grey(40, pixels), weights.sign() if norm == "linf" else weights / weights.norm()
    reach = epsilon * (weights @ direction)
    clean = images.flatten(1) @ weights
    bias = -clean.max() - reach / 50  # all are class 0, from just outside the decision's reach to far away
    labels = torch.zeros(40, dtype=torch.int64)
    found = attack(binary(lambda x: x @ weights + bias), images, labels, threat)
    torch.testing.assert_close(found.images, images + epsilon * direction.view(1, 1, 1, -1), atol=2e-4, rtol=0)
    assert torch.equal(found.fooled, clean + bias + reach > 0)
    assert 0 < found.fooled.sum() < 40


def test_kl_goes_to_one_of_the_two_ends() -> None:
    """Divergence grows towards a wrong decision and towards a surer right one: KL does not know which is meant."""
    weights, images = torch.randn(9, generator=generator()), grey(40, 9)
    target = binary(lambda x: x @ weights - 9)
    labels, threat = torch.zeros(40, dtype=torch.int64), ThreatModel("linf", 0.1)
    found = PGD("kl", steps=40, random_start=True)(target, images, labels, threat)
    steps = (found.images - images).flatten(1) * weights.sign()
    torch.testing.assert_close(steps, steps.sign() * 0.1, atol=1e-6, rtol=0)
    assert (steps.sign() == steps[:, :1].sign()).all()
    assert 0 < (steps[:, 0] > 0).sum() < 40


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_two_layer_network_that_is_monotone(attack: Attack, norm: str) -> None:
    """Every unit rises along the same direction, whichever are on: the best image is known and at the ball's edge."""
    pixels, units, epsilon = 8, 16, 0.15
    signs = torch.randn(pixels, generator=generator()).sign()
    if norm == "linf":
        first = signs * torch.rand(units, pixels, generator=generator())
        best = epsilon * signs
    else:
        first = torch.rand(units, 1, generator=generator()) * signs
        best = epsilon * signs / signs.norm()
    images = grey(40, pixels)
    hidden = images.flatten(1) @ first.T
    offsets = -hidden.quantile(torch.linspace(0.05, 0.95, units), dim=0).diagonal()  # each unit is on for some
    offsets[0] = 9.0  # and one for all, so that there is always a gradient
    out = torch.rand(units, generator=generator())

    def ahead(x: Tensor) -> Tensor:
        return torch.relu(x @ first.T + offsets) @ out

    bias = -ahead((images + best.view(1, 1, 1, -1)).flatten(1)).median() - 1e-3
    bias = torch.minimum(bias, -ahead(images.flatten(1)).max() - 1e-6)
    labels = torch.zeros(40, dtype=torch.int64)
    target = binary(lambda x: ahead(x) + bias)
    found = attack(target, images, labels, ThreatModel(norm, epsilon))  # type: ignore[arg-type]
    optimum = ahead((images + best.view(1, 1, 1, -1)).flatten(1)) + bias
    torch.testing.assert_close(ahead(found.images.flatten(1)) + bias, optimum, atol=1e-3, rtol=0)
    assert torch.equal(found.fooled, optimum > 0)
    assert 0 < found.fooled.sum() < 40


@pytest.mark.parametrize(
    "attack",
    [
        PGD("margin", steps=20, restarts=30, keep="best"),
        PGD("margin", steps=20, restarts=30, rule="cosine"),
        MultiTargetPGD(steps=20, restarts=15),
    ],
    ids=lambda attack: attack.name,
)
def test_two_layer_network_against_all_corners(attack: Attack) -> None:
    """A margin that is convex has its maximum at a corner of the box; all 2^6 are tried."""
    pixels, units, epsilon = 6, 12, 0.2
    torch.manual_seed(0)
    first, offsets, out = torch.randn(2, units, pixels), 0.3 * torch.randn(units), torch.rand(2, units)
    images = grey(60, pixels)

    def ahead(x: Tensor) -> Tensor:
        return torch.stack([torch.relu(x @ first[c].T + offsets) @ out[c] for c in (0, 1)], 1)

    corners = torch.tensor(list(product((-epsilon, epsilon), repeat=pixels)))
    values = ahead((images.flatten(1)[:, None] + corners).flatten(0, 1)).view(60, len(corners), 2)
    best, clean = values.amax(1), ahead(images.flatten(1))
    bias = -best.median(0).values

    def logits(x: Tensor) -> Tensor:
        rest = torch.zeros(len(x), 1)
        return torch.cat([rest, ahead(x.flatten(1)) + bias], 1)

    right = (clean + bias <= 0).all(1)
    found = attack(target_of(logits, 3), images, torch.zeros(60, dtype=torch.int64), ThreatModel("linf", epsilon))
    assert torch.equal(found.fooled, ~right | (best + bias > 0).any(1))
    assert 10 < (found.fooled & right).sum() < right.sum() - 5


def test_the_multi_targeted_attack_finds_the_class_that_the_margin_leaves() -> None:
    """From the clean image the best wrong class leads to a dead end; another one, less likely there, wins."""

    def logits(images: Tensor) -> Tensor:
        x = images.flatten(1)[:, 0] - 0.5
        near = torch.full_like(x, -0.1) + 0.3 * x.clamp(max=0.2)  # saturates below 0
        far = -0.5 - 6 * x
        return torch.stack([torch.zeros_like(x), near, far], 1)

    image, label, threat = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0]), ThreatModel("linf", 0.2)
    target = target_of(logits, 3)
    assert not cw20()(target, image, label, threat).fooled.any()
    assert not MultiTargetPGD(targets=1)(target, image, label, threat).fooled.any()
    assert MultiTargetPGD()(target, image, label, threat).fooled.all()
    assert MultiTargetPGD(targets=7)(target, image, label, threat).fooled.all()


def test_robust_accuracy_falls_with_epsilon_and_starts_at_clean() -> None:
    torch.manual_seed(0)
    weights = torch.randn(3, 12)
    target = target_of(lambda images: images.flatten(1) @ weights.T, 3)
    images = torch.rand(100, 3, 2, 2, generator=generator())
    labels = target.decide(images).argmax(1)
    labels[::5] = (labels[::5] + 1) % 3
    for attack in (PGD(), cw20(), PGD("margin", keep="best"), MultiTargetPGD()):
        clean = attack(target, images, labels, ThreatModel(epsilon=0))
        assert torch.equal(clean.images, images)
        assert torch.equal(clean.fooled, ~target.right(images, labels))
        before = clean.fooled
        for epsilon in (0.01, 0.03, 0.1, 0.3, 1.0):
            fooled = attack(target, images, labels, ThreatModel(epsilon=epsilon)).fooled
            assert (fooled | ~before).all(), f"{attack.name}: a larger ball saved a sample"
            before = fooled
        assert before.all()
