from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vsmooth import (
    LabelScheme,
    LabelSmoothing,
    OneHot,
    SmoothedCrossEntropy,
    VirtualSmoothing,
    VirtualSmoothingLoss,
    smoothed_cross_entropy,
)

V, ROWS = 3, 6
NUM_CLASSES = [4, 40]  # the table of labels and the closed form


def loss_of(logits: Tensor, targets: Tensor, num_classes: int, **options: Any) -> Tensor:
    return smoothed_cross_entropy(logits, targets, VirtualSmoothing(0.3), num_classes, **options)


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("excess", [0, 1, None], ids=["K", "K+1", "negative"])
def test_a_target_out_of_range_is_named(
    excess: int | None, dtype: torch.dtype, weighted: bool, num_classes: int
) -> None:
    target = -1 if excess is None else num_classes + excess
    logits, targets = torch.randn(ROWS, num_classes + V, dtype=dtype), torch.zeros(ROWS, dtype=torch.long)
    targets[3] = target
    weight = torch.ones(num_classes) if weighted else None
    message = (
        rf"target {target} is out of range: class indices must be in 0\.\.{num_classes - 1} "
        rf"\(or ignore_index=-100\); check num_classes={num_classes} or the labels"
    )
    with pytest.raises(ValueError, match=message):
        loss_of(logits, targets, num_classes, weight=weight)


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_the_default_ignore_index_is_out_of_range_if_another_is_chosen(num_classes: int) -> None:
    targets = torch.full((ROWS,), -100)
    with pytest.raises(ValueError, match=r"target -100 is out of range: .* \(or ignore_index=255\)"):
        loss_of(torch.randn(ROWS, num_classes + V), targets, num_classes, ignore_index=255)


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize(
    ("scheme", "excess", "message"),
    [
        (OneHot(), V, "one-hot labels with num_classes={k} need exactly {k}; .* wants VirtualSmoothing"),
        (LabelSmoothing(0.1), -1, "label-smoothing labels with num_classes={k} need exactly {k}"),
        (VirtualSmoothing(0.3), 0, "the {k} real ones; in eval mode use torch.nn.functional.cross_entropy"),
        (VirtualSmoothing(0.3), -1, "needs more than {k}, {two_k} for V = K; widen .* all_logits"),
        (VirtualSmoothing(0.3, V), V + 1, "num_virtual=3 needs exactly {k_plus_v}"),
        (VirtualSmoothing(0.3, V), -1, "num_virtual=3 needs exactly {k_plus_v}; .* all_logits"),
        (VirtualSmoothing(0.3, V), 0, r"the {k} real ones; .* or all_logits\(model\) for all logits; a model without"),
        (VirtualSmoothing(0.3, distribution=(0.5, 0.25, 0.25)), 1, "needs exactly {k_plus_v}"),
    ],
)
def test_a_width_that_does_not_fit_names_the_widths_that_would(
    scheme: LabelScheme, excess: int, message: str, num_classes: int
) -> None:
    width = num_classes + excess
    numbers = message.format(k=num_classes, two_k=2 * num_classes, k_plus_v=num_classes + V)
    for targets in (torch.zeros(ROWS, dtype=torch.long), torch.eye(num_classes)[:1].expand(ROWS, -1)):
        with pytest.raises(ValueError, match=f"logits have {width} classes, but .*{numbers}"):
            smoothed_cross_entropy(torch.randn(ROWS, width), targets, scheme, num_classes)


INDEX = torch.zeros(ROWS, dtype=torch.long)
SOFT = torch.full((ROWS, 4), 0.25)
HARD = torch.eye(4)[[0, 1, 2, 3, 0, 1]]
ONE_HOT = r"shape \(6, 4\) look like one-hot labels: use floating point, targets\.float\(\), or .* targets\.argmax\(1\)"
WRONG_TARGETS = [
    (INDEX.float(), r"class indices must be integers, got torch\.float32: use targets\.long\(\)"),
    (INDEX.bool(), r"integer indices or floating-point probabilities, got torch\.bool"),
    (INDEX.to(torch.complex64), r"integer indices or floating-point probabilities, got torch\.complex64"),
    (INDEX[:-1], r"targets have shape \(5,\), but logits \(6, 7\) with num_classes=4 need \(6,\)"),
    (INDEX[:, None], r"targets have shape \(6, 1\), but .* need \(6,\)"),
    (INDEX[0], r"targets have shape \(\), but .* need \(6,\)"),
    (SOFT[:-1], r"targets have shape \(5, 4\), but .* need \(6, 4\)"),
    (SOFT[:, :-1], r"targets have shape \(6, 3\), but .* need \(6, 4\)"),
    (torch.full((ROWS, 4 + V), 1 / 7), r"targets have shape \(6, 7\), but .* need \(6, 4\)"),
    (HARD.long(), rf"targets of torch\.int64 and {ONE_HOT}"),
    (HARD.bool(), rf"targets of torch\.bool and {ONE_HOT}"),
    (HARD + HARD.flip(0), r"rows with several ones: multi-label targets are not supported; give one class or one dist"),
    ((HARD + HARD.flip(0)).long(), r"multi-label targets are not supported"),
    (HARD + HARD.flip(0) > 0, r"multi-label targets are not supported"),
    (HARD * 0, r"probability targets must sum to 1 .* off by 1: normalise them"),
    (SOFT * 1.1, r"probability targets must sum to 1 .* off by 0\.1: normalise them"),
    (SOFT.bfloat16() * 1.5, r"probability targets must sum to 1 .* off by 0\.5"),
    (SOFT * float("nan"), r"probability targets must sum to 1 .* off by nan"),
    (torch.tensor([[1.5, -0.5, 0.0, 0.0]]).expand(ROWS, -1), r"must not be negative, got -0\.5"),
]


@pytest.mark.parametrize(("targets", "message"), WRONG_TARGETS)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_wrong_targets_are_told(targets: Tensor, message: str, weighted: bool) -> None:
    with pytest.raises(ValueError, match=message):
        loss_of(torch.randn(ROWS, 4 + V), targets, 4, weight=torch.ones(4) if weighted else None)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(2, 5, dtype=torch.long), r"targets have shape \(2, 5\), but .* need \(2, 5, 3\)"),
        (torch.zeros(2, 3, 5, dtype=torch.long), r"targets have shape \(2, 3, 5\), but .* need \(2, 5, 3\)"),
        (torch.full((2, 5, 3, 4), 0.25), r"targets have shape \(2, 5, 3, 4\), but .* need \(2, 4, 5, 3\)"),
        (torch.zeros(2, 5, 3), r"class indices must be integers"),
        (torch.full((2, 4, 5, 3), 0.3), r"probability targets must sum to 1"),
        (torch.full((2, 5, 3), 4), r"target 4 is out of range"),
    ],
)
def test_wrong_targets_of_images_are_told(targets: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss_of(torch.randn(2, 7, 5, 3), targets, 4)


SEQUENCE = r"logits of shape \(2, 5, 7\) have their classes in the last dimension; .*: use logits\.movedim\(-1, 1\)"


@pytest.mark.parametrize("kind", ["index", "probability"])
def test_classes_in_the_last_dimension_are_told_and_the_remedy_works(kind: str) -> None:
    logits, targets = torch.randn(2, 5, 7), torch.randint(4, (2, 5))
    expected = loss_of(logits.flatten(0, 1), targets.flatten(), 4)
    if kind == "probability":
        targets = torch.eye(4)[targets]
    with pytest.raises(ValueError, match=SEQUENCE + (r", and targets\.movedim" if kind == "probability" else "$")):
        loss_of(logits, targets, 4)
    moved = targets.movedim(-1, 1) if kind == "probability" else targets
    torch.testing.assert_close(loss_of(logits.movedim(-1, 1), moved, 4), expected)


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_the_remedies_for_one_hot_labels_and_real_logits_work(num_classes: int) -> None:
    logits, labels = torch.randn(ROWS, num_classes + V), torch.randint(num_classes, (ROWS,))
    one_hot = F.one_hot(labels, num_classes)
    expected = loss_of(logits, labels, num_classes)
    torch.testing.assert_close(loss_of(logits, one_hot.float(), num_classes), expected)
    torch.testing.assert_close(loss_of(logits, one_hot.argmax(1), num_classes), expected)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool], ids=str)
def test_logits_that_are_not_floating_point_are_told(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"logits must be floating point, got {dtype}"):
        loss_of(torch.ones(ROWS, 7).to(dtype), INDEX, 4)


def test_logits_without_a_class_dimension_are_told() -> None:
    with pytest.raises(ValueError, match="logits"):
        loss_of(torch.tensor(1.0), torch.tensor(0), 4)


@pytest.mark.parametrize("reduction", ["avg", "batchmean", None])
def test_an_unknown_reduction_is_told(reduction: Any) -> None:
    with pytest.raises(ValueError, match="reduction must be 'none', 'mean' or 'sum', got"):
        loss_of(torch.randn(ROWS, 7), INDEX, 4, reduction=reduction)


@pytest.mark.parametrize("weight", [torch.ones(3), torch.ones(6), torch.ones(4, 1), torch.tensor(1.0)])
def test_a_weight_of_another_length_is_told(weight: Tensor) -> None:
    with pytest.raises(ValueError, match=r"weight has shape .*, expected one number per class: \[4, 7\]"):
        loss_of(torch.randn(ROWS, 7), INDEX, 4, weight=weight)


@pytest.mark.parametrize("num_classes", [1, 0, -4])
def test_fewer_than_two_classes_are_told(num_classes: int) -> None:
    message = f"num_classes must be at least 2, got {num_classes}"
    with pytest.raises(ValueError, match=message):
        VirtualSmoothingLoss(num_classes, 0.3)
    with pytest.raises(ValueError, match=message):
        SmoothedCrossEntropy(OneHot(), num_classes)
    with pytest.raises(ValueError, match=message):
        loss_of(torch.randn(ROWS, 7), INDEX, num_classes)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_the_short_forms_check_alpha(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha must be a number in \[0, 1\]"):
        VirtualSmoothingLoss(4, alpha)
