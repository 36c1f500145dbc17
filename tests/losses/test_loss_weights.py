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
    VirtualSmoothingLoss,
    smoothed_cross_entropy,
    virtual_smoothing_loss,
)
from vsmooth.losses import Reduction

K, V = 5, 3
REDUCTIONS: list[Reduction] = ["none", "sum", "mean"]


def soft_targets(*places: int) -> Tensor:
    return torch.randn(places[0], K, *places[1:]).mul(2).softmax(1)


def gradients(logits: Tensor, *losses: Tensor) -> list[Tensor]:
    seeds = [torch.linspace(1, 2, loss.numel()).reshape(loss.shape) for loss in losses]
    return [torch.autograd.grad(loss, logits, seed, True)[0] for loss, seed in zip(losses, seeds, strict=True)]


def assert_same(logits: Tensor, loss: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(loss, expected, equal_nan=True)
    torch.testing.assert_close(*gradients(logits, loss, expected), equal_nan=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("ignore_index", [-100, 255, 1])
@pytest.mark.parametrize("places", [(12,), (4, 3), (3, 2, 4)], ids=str)
@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0])
def test_label_smoothing_is_torch_label_smoothing(
    alpha: float, places: tuple[int, ...], ignore_index: int, weighted: bool, reduction: Reduction
) -> None:
    logits = torch.randn(places[0], K, *places[1:], requires_grad=True)
    targets = torch.randint(K, places)
    targets[torch.rand(places) < 0.3] = ignore_index
    weight = torch.rand(K) + 0.1 if weighted else None
    expected = F.cross_entropy(
        logits, targets, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=alpha
    )
    for scheme in [LabelSmoothing(alpha), *([OneHot()] if alpha == 0 else [])]:
        loss = smoothed_cross_entropy(
            logits, targets, scheme, K, weight=weight, ignore_index=ignore_index, reduction=reduction
        )
        assert_same(logits, loss, expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("places", [(12,), (4, 3)], ids=str)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_label_smoothing_of_probabilities_is_torch_label_smoothing(
    alpha: float, places: tuple[int, ...], weighted: bool, reduction: Reduction
) -> None:
    logits = torch.randn(places[0], K, *places[1:], requires_grad=True)
    targets, weight = soft_targets(*places), torch.rand(K) + 0.1 if weighted else None
    loss = smoothed_cross_entropy(logits, targets, LabelSmoothing(alpha), K, weight=weight, reduction=reduction)
    expected = F.cross_entropy(logits, targets, weight, reduction=reduction, label_smoothing=alpha)
    assert_same(logits, loss, expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("target", [2, -100])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_single_sample_without_a_batch_is_what_torch_makes_of_it(
    alpha: float, target: int, weighted: bool, reduction: Reduction
) -> None:
    logits, index = torch.randn(K, requires_grad=True), torch.tensor(target)
    weight = torch.rand(K) + 1 if weighted else None
    loss = smoothed_cross_entropy(logits, index, LabelSmoothing(alpha), K, weight=weight, reduction=reduction)
    expected = F.cross_entropy(logits, index, weight, reduction=reduction, label_smoothing=alpha)
    torch.testing.assert_close(loss, expected, equal_nan=True)


@pytest.mark.parametrize("places", [(12,), (4, 3)], ids=str)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_weights_of_the_real_classes_weigh_samples_and_leave_alpha_as_it_is(
    alpha: float, places: tuple[int, ...]
) -> None:
    logits = torch.randn(places[0], K + V, *places[1:], requires_grad=True)
    targets, weight = torch.randint(K, places), torch.rand(K) + 0.1
    per_row = virtual_smoothing_loss(logits, targets, K, alpha, reduction="none") * weight[targets]
    for reduction, expected in [
        ("none", per_row),
        ("sum", per_row.sum()),
        ("mean", per_row.sum() / weight[targets].sum()),
    ]:
        loss = virtual_smoothing_loss(logits, targets, K, alpha, weight=weight, reduction=reduction)
        assert_same(logits, loss, expected)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_weights_of_the_real_classes_with_probabilities_give_virtual_classes_the_mean_weight(
    alpha: float,
) -> None:
    logits = torch.randn(12, K + V, requires_grad=True)
    targets, weight = soft_targets(12), torch.rand(K) + 0.1
    own = (targets * weight).sum(1, keepdim=True)
    dense = torch.cat([(1 - alpha) * targets * weight, (alpha * own / V).expand(-1, V)], 1)
    for reduction in REDUCTIONS:
        loss = virtual_smoothing_loss(logits, targets, K, alpha, weight=weight, reduction=reduction)
        assert_same(logits, loss, F.cross_entropy(logits, dense, reduction=reduction))


@pytest.mark.parametrize("kind", ["index", "probability"])
@pytest.mark.parametrize("distribution", [None, (0.2, 0.0, 0.8)])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_weights_of_all_classes_are_torch_weights_of_a_dense_target(
    alpha: float, distribution: tuple[float, ...] | None, kind: str
) -> None:
    scheme = VirtualSmoothing(alpha, distribution=distribution)
    logits = torch.randn(12, K + V, requires_grad=True)
    targets = torch.randint(K, (12,)) if kind == "index" else soft_targets(12)
    weight, dense = torch.rand(K + V) + 0.1, VirtualSmoothing(alpha, V, distribution).encode(targets, K)
    per_row = F.cross_entropy(logits, dense, weight, reduction="none")
    divisor = weight[targets].sum() if kind == "index" else 12
    for reduction, expected in [
        ("none", per_row),
        ("sum", F.cross_entropy(logits, dense, weight, reduction="sum")),
        ("mean", per_row.sum() / divisor),
    ]:
        loss = smoothed_cross_entropy(logits, targets, scheme, K, weight=weight, reduction=reduction)
        assert_same(logits, loss, expected)


def test_equal_weights_change_nothing_but_the_scale() -> None:
    logits, targets = torch.randn(12, K + V), torch.randint(K, (12,))
    plain = virtual_smoothing_loss(logits, targets, K, 0.3)
    for width in (K, K + V):
        loss = virtual_smoothing_loss(logits, targets, K, 0.3, weight=torch.full((width,), 4.0))
        torch.testing.assert_close(loss, plain)


SCHEMES = [OneHot(), LabelSmoothing(0.3), VirtualSmoothing(0.3, V)]
NUM_CLASSES = [K, 40]  # the table of labels and the closed form


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize("ignore_index", [-100, 255, 1])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_ignored_rows_leave_the_loss_of_the_others_and_get_no_gradient(
    scheme: LabelScheme, num_classes: int, ignore_index: int, weighted: bool
) -> None:
    logits = torch.randn(9, scheme.width(num_classes), requires_grad=True)
    targets = torch.randint(2, num_classes, (9,))
    kept = torch.arange(9) % 3 != 0
    weight = torch.rand(num_classes) + 0.1 if weighted else None
    with_ignored = targets.where(kept, ignore_index)
    for reduction in REDUCTIONS:
        loss = smoothed_cross_entropy(
            logits, with_ignored, scheme, num_classes, weight=weight, ignore_index=ignore_index, reduction=reduction
        )
        rest = smoothed_cross_entropy(
            logits[kept], targets[kept], scheme, num_classes, weight=weight, reduction=reduction
        )
        if reduction == "none":
            assert not loss[~kept].any()
            loss = loss[kept]
        torch.testing.assert_close(loss, rest)
        gradient, expected = gradients(logits, loss, rest)
        assert not gradient[~kept].any()
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_if_all_rows_are_ignored_the_mean_is_nan_and_the_sum_zero_as_in_torch(
    scheme: LabelScheme, num_classes: int
) -> None:
    logits = torch.randn(4, scheme.width(num_classes), requires_grad=True)
    targets = torch.full((4,), -100)
    for reduction in REDUCTIONS:
        loss = smoothed_cross_entropy(logits, targets, scheme, num_classes, reduction=reduction)
        torch.testing.assert_close(
            loss, F.cross_entropy(logits, targets, reduction=reduction), equal_nan=True, check_dtype=True
        )
    total = smoothed_cross_entropy(logits, targets, scheme, num_classes, reduction="sum")
    assert not torch.autograd.grad(total, logits)[0].any()


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_ignored_rows_may_hold_anything(num_classes: int) -> None:
    logits = torch.randn(4, num_classes + V)
    logits[0] = float("nan")
    logits.requires_grad_()
    targets = torch.tensor([-100, 1, 2, 3])
    loss = VirtualSmoothingLoss(num_classes, 0.3, V)(logits, targets)
    torch.testing.assert_close(loss, virtual_smoothing_loss(logits[1:], targets[1:], num_classes, 0.3))
