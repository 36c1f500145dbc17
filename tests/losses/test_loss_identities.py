from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vsmooth import (
    LabelScheme,
    LabelSmoothing,
    OneHot,
    VirtualSmoothing,
    smoothed_cross_entropy,
    virtual_smoothing_loss,
)

NUM_CLASSES = [4, 40]  # the table of labels and the closed form
V, ROWS = 5, 6


def a_batch(width: int, num_classes: int) -> tuple[Tensor, Tensor]:
    return torch.randn(ROWS, width, dtype=torch.float64), torch.randint(num_classes, (ROWS,))


def soften(targets: Tensor, num_classes: int) -> Tensor:
    return F.one_hot(targets, num_classes).double()


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_virtual_smoothing_with_alpha_zero_is_cross_entropy_over_all_logits(num_classes: int) -> None:
    logits, targets = a_batch(num_classes + V, num_classes)
    torch.testing.assert_close(
        virtual_smoothing_loss(logits, targets, num_classes, 0.0), F.cross_entropy(logits, targets)
    )


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_one_hot_is_cross_entropy(num_classes: int) -> None:
    logits, targets = a_batch(num_classes, num_classes)
    expected = F.cross_entropy(logits, targets)
    torch.testing.assert_close(smoothed_cross_entropy(logits, targets, OneHot(), num_classes), expected)
    torch.testing.assert_close(smoothed_cross_entropy(logits, targets, LabelSmoothing(0.0), num_classes), expected)


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize("scheme", [LabelSmoothing(1.0), VirtualSmoothing(1.0, V)], ids=repr)
def test_with_alpha_one_the_true_class_does_not_count(scheme: LabelScheme, num_classes: int) -> None:
    logits, targets = a_batch(scheme.width(num_classes), num_classes)
    start = num_classes if isinstance(scheme, VirtualSmoothing) else 0
    expected = -logits.log_softmax(1)[:, start:].mean()
    torch.testing.assert_close(smoothed_cross_entropy(logits, targets, scheme, num_classes), expected)
    shifted = (targets + 1) % num_classes
    torch.testing.assert_close(smoothed_cross_entropy(logits, shifted, scheme, num_classes), expected)


@pytest.mark.parametrize("kind", ["index", "probability"])
@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_permuting_the_virtual_classes_leaves_the_loss(num_classes: int, kind: str) -> None:
    logits, targets = a_batch(num_classes + V, num_classes)
    targets = soften(targets, num_classes) if kind == "probability" else targets
    order = torch.cat([torch.arange(num_classes), num_classes + torch.tensor([3, 0, 4, 1, 2])])
    loss = virtual_smoothing_loss(logits, targets, num_classes, 0.3)
    torch.testing.assert_close(virtual_smoothing_loss(logits[:, order], targets, num_classes, 0.3), loss)
    swapped = logits[:, [1, 0, *range(2, logits.shape[1])]]
    one = torch.zeros_like(targets) if kind == "index" else soften(torch.zeros(ROWS, dtype=torch.long), num_classes)
    assert not torch.isclose(
        virtual_smoothing_loss(swapped, one, num_classes, 0.3),
        virtual_smoothing_loss(logits, one, num_classes, 0.3),
    )


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_permuting_a_distribution_with_the_virtual_classes_leaves_the_loss(num_classes: int) -> None:
    logits, targets = a_batch(num_classes + 3, num_classes)
    loss = smoothed_cross_entropy(logits, targets, VirtualSmoothing(0.3, 3, (0.1, 0.2, 0.7)), num_classes)
    order = [*range(num_classes), num_classes + 2, num_classes, num_classes + 1]
    permuted = VirtualSmoothing(0.3, 3, (0.7, 0.1, 0.2))
    torch.testing.assert_close(smoothed_cross_entropy(logits[:, order], targets, permuted, num_classes), loss)
    assert not torch.isclose(smoothed_cross_entropy(logits, targets, permuted, num_classes), loss)


@pytest.mark.parametrize("mix", [0.0, 0.25, 0.9, 1.0])
@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize("scheme", [OneHot(), LabelSmoothing(0.2), VirtualSmoothing(0.3, V)], ids=lambda s: s.name)
def test_mixing_labels_is_mixing_losses(scheme: LabelScheme, num_classes: int, mix: float) -> None:
    logits, targets = a_batch(scheme.width(num_classes), num_classes)
    others = targets.flip(0)
    mixed = mix * soften(targets, num_classes) + (1 - mix) * soften(others, num_classes)
    loss = smoothed_cross_entropy(logits, mixed, scheme, num_classes)
    first, second = (smoothed_cross_entropy(logits, y, scheme, num_classes) for y in (targets, others))
    torch.testing.assert_close(loss, mix * first + (1 - mix) * second)


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize("scheme", [OneHot(), LabelSmoothing(0.2), VirtualSmoothing(0.3, V)], ids=lambda s: s.name)
def test_the_gradient_of_a_row_sums_to_zero_and_vanishes_at_the_label(scheme: LabelScheme, num_classes: int) -> None:
    logits, targets = a_batch(scheme.width(num_classes), num_classes)
    logits.requires_grad_()
    loss = smoothed_cross_entropy(logits, targets, scheme, num_classes)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient.sum(1), torch.zeros(ROWS).double())
    label = scheme.encode(soften(targets, num_classes), num_classes)
    optimum = label.clamp_min(1e-30).log().requires_grad_()
    at_label = smoothed_cross_entropy(optimum, targets, scheme, num_classes)
    torch.testing.assert_close(torch.autograd.grad(at_label, optimum)[0], torch.zeros_like(label))
    entropy = -torch.xlogy(label, label).sum(1).mean()
    torch.testing.assert_close(at_label, entropy)
    assert loss > entropy


def test_the_loss_of_a_batch_is_bitwise_the_same_every_time() -> None:
    logits, targets = torch.randn(700, 1000), torch.randint(500, (700,))
    runs = {virtual_smoothing_loss(logits, targets, 500, 0.3).item() for _ in range(3)}
    assert len(runs) == 1
