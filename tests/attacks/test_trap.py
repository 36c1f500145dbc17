"""Virtual logits that hide the gradients: the reason why the headline attacks the real logits.

Two models with K + V outputs. Their decision, the argmax of the K real logits, is that of an ordinary linear classifier
which a small step fools; only the virtual logits differ. Nothing in them changes what the shipped model says.
"""

from __future__ import annotations

import pytest
import torch
from attack_builders import target_of
from torch import Tensor

from vsmooth.attacks import (
    PGD,
    Aim,
    Attack,
    LambdaSweep,
    MultiTargetPGD,
    Target,
    ThreatModel,
    cw20,
    input_gradient,
    make_aim,
)

CLASSES = 3
THREAT = ThreatModel("linf", 0.15)
TRAPS = ["absorbing", "saturated"]


def trap(kind: str) -> tuple[Target, Target, Tensor, Tensor]:
    """The target seen with all K + V logits and with the K real ones, images and labels that are right when clean."""
    generator = torch.Generator().manual_seed(0)
    weights = 40 * torch.randn(CLASSES, 48, generator=generator)

    def logits(images: Tensor) -> Tensor:
        real = (images.flatten(1) - 0.5) @ weights.T
        if kind == "absorbing":  # cross entropy climbs 3 z_y - z_y: away from every decision boundary
            return torch.cat([real, 3 * real], 1)
        return torch.cat([real, real + 300], 1)  # softmax is exactly 1 on the copy of z_y, and z_y' - z_y is constant

    view_all, view_real = target_of(logits, CLASSES), target_of(lambda x: logits(x)[:, :CLASSES], CLASSES)
    images = torch.rand(200, 3, 4, 4, generator=generator)
    ranked = view_real.decide(images).topk(2, 1)
    gap = ranked.values[:, 0] - ranked.values[:, 1]
    sure = (gap > 110) & (gap < 180)  # exp(-110) is 0 in float32; a step of .15 moves a margin by some 200
    return view_all, view_real, images[sure], ranked.indices[sure, 0]


@pytest.mark.parametrize("kind", TRAPS)
@pytest.mark.parametrize("steps", [20, 200])
def test_cross_entropy_over_all_logits_sees_a_robust_model(kind: str, steps: int) -> None:
    view_all, _, images, labels = trap(kind)
    assert len(images) > 20
    found = PGD("ce", steps=steps)(view_all, images, labels, THREAT)
    assert found.fooled.float().mean() == 0


def test_the_saturated_trap_has_no_gradient_and_the_absorbing_one_a_false_one() -> None:
    for kind in TRAPS:
        view_all, _, images, labels = trap(kind)
        gradient, logits = input_gradient(view_all.craft, make_aim("ce", view_all, images, labels), images)
        assert (logits.argmax(1) == labels + CLASSES).all()  # the largest logit is virtual
        if kind == "saturated":
            assert not gradient.any()
        else:
            own = Aim(lambda z, y: z.gather(1, y[:, None]), (labels,))
            torch.testing.assert_close(gradient, 2 * input_gradient(view_all.craft, own, images)[0])


@pytest.mark.parametrize("kind", TRAPS)
@pytest.mark.parametrize(
    ("attack", "view"),
    [
        (cw20(), "real"),
        (PGD("dlr"), "real"),
        (MultiTargetPGD(steps=20), "all"),
        (MultiTargetPGD(steps=20), "real"),
        (LambdaSweep(), "all"),
        (LambdaSweep(lambdas=(0,)), "all"),
    ],
    ids=str,
)
def test_the_real_margin_and_the_sweep_break_it(kind: str, attack: Attack, view: str) -> None:
    view_all, view_real, images, labels = trap(kind)
    found = attack(view_all if view == "all" else view_real, images, labels, THREAT)
    assert found.fooled.float().mean() > 0.9
    assert torch.equal(view_real.right(found.images, labels), ~found.fooled)


def test_the_lambda_that_is_needed_is_found() -> None:
    """The real margin rises gently to the right, where nothing is; the way out is left, away from a virtual logit."""

    def logits(images: Tensor) -> Tensor:
        x = images.flatten(1)[:, :1]
        wrong = 0.5 * (x - 0.5) + 10 * torch.relu(0.45 - x) - 0.2
        return torch.cat([0 * x, wrong, 0 * x - 9, x], 1)

    target, threat = target_of(logits, 3), ThreatModel("linf", 0.1)
    image, label = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    assert not cw20()(target_of(lambda x: logits(x)[:, :3], 3), image, label, threat).fooled.any()
    assert not LambdaSweep(lambdas=(0, 0.25))(target, image, label, threat).fooled.any()
    assert LambdaSweep(lambdas=(1,))(target, image, label, threat).fooled.all()
    assert LambdaSweep()(target, image, label, threat).fooled.all()
