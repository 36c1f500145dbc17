from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, jvp, vmap

from vsmooth import (
    LabelScheme,
    LabelSmoothing,
    OneHot,
    VirtualSmoothing,
    VirtualSmoothingLoss,
    smoothed_cross_entropy,
)

SCHEMES = [
    OneHot(),
    LabelSmoothing(0.2),
    VirtualSmoothing(0.3, 3),
    VirtualSmoothing(0.6, distribution=(0.2, 0.0, 0.8)),
]
NUM_CLASSES = [3, 34]  # the table of labels and the closed form
ROWS = 5

pytestmark = [
    pytest.mark.parametrize("kind", ["index", "probability"]),
    pytest.mark.parametrize("num_classes", NUM_CLASSES),
    pytest.mark.parametrize("scheme", SCHEMES, ids=repr),
]


def a_batch(kind: str, scheme: LabelScheme, num_classes: int) -> tuple[Tensor, Tensor]:
    logits = torch.randn(ROWS, scheme.width(num_classes), dtype=torch.float64)
    if kind == "index":
        return logits, torch.randint(num_classes, (ROWS,))
    return logits, torch.rand(ROWS, num_classes, dtype=torch.float64).softmax(1)


def gradient_by_backward(logits: Tensor, targets: Tensor, scheme: LabelScheme, num_classes: int) -> Tensor:
    z = logits.clone().requires_grad_()
    return torch.autograd.grad(smoothed_cross_entropy(z, targets, scheme, num_classes), z)[0]


def test_vmap_over_samples_is_a_loop(kind: str, num_classes: int, scheme: LabelScheme) -> None:
    logits, targets = a_batch(kind, scheme, num_classes)
    loss = vmap(lambda z, y: smoothed_cross_entropy(z, y, scheme, num_classes))(logits, targets)
    loop = [smoothed_cross_entropy(z, y, scheme, num_classes) for z, y in zip(logits, targets, strict=True)]
    torch.testing.assert_close(loss, torch.stack(loop))


@pytest.mark.parametrize("shared_targets", [False, True])
def test_vmap_over_batches_is_a_loop(kind: str, num_classes: int, scheme: LabelScheme, shared_targets: bool) -> None:
    logits, targets = (
        torch.stack(t) for t in zip(*(a_batch(kind, scheme, num_classes) for _ in range(3)), strict=True)
    )
    targets = targets[0] if shared_targets else targets
    for reduction in ("mean", "none"):
        loss = vmap(
            lambda z, y, r=reduction: smoothed_cross_entropy(z, y, scheme, num_classes, reduction=r),
            (0, None if shared_targets else 0),
        )(logits, targets)
        loop = [
            smoothed_cross_entropy(
                z, targets if shared_targets else targets[i], scheme, num_classes, reduction=reduction
            )
            for i, z in enumerate(logits)
        ]
        torch.testing.assert_close(loss, torch.stack(loop))


def test_grad_is_that_of_backward(kind: str, num_classes: int, scheme: LabelScheme) -> None:
    logits, targets = a_batch(kind, scheme, num_classes)
    gradient = grad(lambda z: smoothed_cross_entropy(z, targets, scheme, num_classes))(logits)
    torch.testing.assert_close(gradient, gradient_by_backward(logits, targets, scheme, num_classes))


def test_vmap_of_grad_gives_the_gradient_of_each_sample(kind: str, num_classes: int, scheme: LabelScheme) -> None:
    logits, targets = a_batch(kind, scheme, num_classes)
    gradients = vmap(grad(lambda z, y: smoothed_cross_entropy(z, y, scheme, num_classes)))(logits, targets)
    loop = [gradient_by_backward(z, y, scheme, num_classes) for z, y in zip(logits, targets, strict=True)]
    torch.testing.assert_close(gradients, torch.stack(loop))


def test_the_hessian_is_the_covariance_of_the_softmax_whatever_the_labels(
    kind: str, num_classes: int, scheme: LabelScheme
) -> None:
    logits, targets = a_batch(kind, scheme, num_classes)
    for z, y in zip(logits, targets, strict=True):
        p = z.softmax(0)
        curvature = hessian(lambda z, y=y: smoothed_cross_entropy(z, y, scheme, num_classes))(z)
        torch.testing.assert_close(curvature, p.diag() - torch.outer(p, p))


def test_a_directional_derivative_is_the_gradient_along_it(kind: str, num_classes: int, scheme: LabelScheme) -> None:
    logits, targets = a_batch(kind, scheme, num_classes)
    direction = torch.randn_like(logits)
    _, slope = jvp(lambda z: smoothed_cross_entropy(z, targets, scheme, num_classes), (logits,), (direction,))
    gradient = gradient_by_backward(logits, targets, scheme, num_classes)
    torch.testing.assert_close(slope, (gradient * direction).sum())


def test_weights_and_ignored_targets_work_within_vmap(kind: str, num_classes: int, scheme: LabelScheme) -> None:
    logits, targets = (
        torch.stack(t) for t in zip(*(a_batch(kind, scheme, num_classes) for _ in range(2)), strict=True)
    )
    if kind == "index":
        targets[:, 0] = -100
    weight = torch.rand(num_classes, dtype=torch.float64) + 0.5
    loss_of = VirtualSmoothingLoss(num_classes, 0.3, weight=weight)
    wide = torch.cat([logits, logits[..., :2]], 2)
    loop = torch.stack([loss_of(z, y) for z, y in zip(wide, targets, strict=True)])
    torch.testing.assert_close(vmap(loss_of)(wide, targets), loop)
