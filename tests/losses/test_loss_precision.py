from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsmooth import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing, smoothed_cross_entropy

SCHEMES = [
    OneHot(),
    LabelSmoothing(0.2),
    VirtualSmoothing(0.3, 3),
    VirtualSmoothing(0.6, distribution=(0.2, 0.0, 0.8)),
]
NUM_CLASSES = [4, 40]  # the table of labels and the closed form
KINDS = ["index", "probability"]


def targets_of(kind: str, num_classes: int, rows: int) -> Tensor:
    index = torch.randint(num_classes, (rows,))
    return index if kind == "index" else F.one_hot(index, num_classes).float().lerp(torch.tensor(1 / num_classes), 0.5)


def in_float64(logits: Tensor, targets: Tensor, scheme: LabelScheme, num_classes: int) -> tuple[Tensor, Tensor]:
    z = logits.detach().double().requires_grad_()
    soft = targets if targets.is_floating_point() else F.one_hot(targets, num_classes)
    loss = F.cross_entropy(z, scheme.encode(soft.double(), num_classes))
    return loss.detach(), torch.autograd.grad(loss, z)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
@pytest.mark.parametrize("scale", [1e4, 1e30, 1e-30])
def test_huge_and_tiny_logits_are_as_accurate_as_in_float64(
    scale: float, scheme: LabelScheme, num_classes: int, kind: str
) -> None:
    logits = (torch.randn(6, scheme.width(num_classes)) * scale).requires_grad_()
    targets = targets_of(kind, num_classes, 6)
    loss = smoothed_cross_entropy(logits, targets, scheme, num_classes)
    expected, gradient = in_float64(logits, targets, scheme, num_classes)
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=1e-6)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0].double(), gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_logits_far_from_zero_lose_nothing_to_their_common_shift(num_classes: int, kind: str) -> None:
    scheme = VirtualSmoothing(0.3, 3)
    logits = torch.randint(-8, 8, (6, num_classes + 3)).float()  # exact when shifted by 2**20
    targets = targets_of(kind, num_classes, 6)
    loss = smoothed_cross_entropy(logits, targets, scheme, num_classes)
    torch.testing.assert_close(smoothed_cross_entropy(logits + 2**20, targets, scheme, num_classes), loss)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_logits_accumulate_in_float32(dtype: torch.dtype) -> None:
    rows, num_classes = 4, 20_000  # the sum of exponentials and the mean would lose 3 digits in half precision
    logits = torch.randn(rows, 2 * num_classes).to(dtype).requires_grad_()
    targets, scheme = torch.randint(num_classes, (rows,)), VirtualSmoothing(0.3)
    loss = smoothed_cross_entropy(logits, targets, scheme, num_classes)
    expected, _ = in_float64(logits, targets, scheme, num_classes)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_under_autocast_the_loss_is_float32_and_the_same(scheme: LabelScheme, num_classes: int, kind: str) -> None:
    layer, features = nn.Linear(5, scheme.width(num_classes)), torch.randn(6, 5)
    targets = targets_of(kind, num_classes, 6)
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(features)
        of_half = smoothed_cross_entropy(half, targets, scheme, num_classes)
        of_full = smoothed_cross_entropy(half.float() * 30, targets, scheme, num_classes)
    assert half.dtype == torch.bfloat16
    assert of_half.dtype == of_full.dtype == torch.float32
    for loss, logits in ((of_half, half), (of_full, half.float() * 30)):
        expected, _ = in_float64(logits, targets, scheme, num_classes)
        torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=1e-6)
    of_half.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize("scheme", [OneHot(), VirtualSmoothing(0.3, 3)], ids=repr)
def test_a_wrong_class_masked_with_minus_infinity_stays_finite_as_in_torch(
    scheme: LabelScheme, num_classes: int, reduction: str
) -> None:
    logits = torch.randn(6, scheme.width(num_classes))
    logits[:, 1] = -float("inf")
    logits.requires_grad_()
    targets = torch.tensor([0, 2, 3, 0, 2, 3])
    loss = smoothed_cross_entropy(logits, targets, scheme, num_classes, reduction=reduction)  # type: ignore[arg-type]
    without = [column for column in range(logits.shape[1]) if column != 1]
    expected = smoothed_cross_entropy(
        logits[:, without], targets - (targets > 1).long(), scheme, num_classes - 1, reduction=reduction
    )  # type: ignore[arg-type]
    assert expected.isfinite().all()
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    (wanted,) = torch.autograd.grad(expected.sum(), logits)
    torch.testing.assert_close(gradient, wanted)
    assert not gradient[:, 1].any()


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
@pytest.mark.parametrize(
    ("scheme", "column"),
    [(OneHot(), 0), (LabelSmoothing(0.2), 1), (VirtualSmoothing(0.3, 3), -1)],
    ids=["true class", "smoothed class", "virtual class"],
)
def test_minus_infinity_where_the_label_has_confidence_is_an_infinite_loss(
    scheme: LabelScheme, column: int, num_classes: int
) -> None:
    logits = torch.randn(3, scheme.width(num_classes))
    logits[:, column] = -float("inf")
    targets = torch.zeros(3, dtype=torch.long)
    assert smoothed_cross_entropy(logits, targets, scheme, num_classes) == float("inf")


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_a_nan_in_the_logits_is_not_hidden(num_classes: int) -> None:
    logits = torch.randn(3, num_classes + 3)
    logits[1, 2] = float("nan")
    targets = torch.zeros(3, dtype=torch.long)
    assert smoothed_cross_entropy(logits, targets, VirtualSmoothing(0.3), num_classes).isnan()
    rows = smoothed_cross_entropy(logits, targets, VirtualSmoothing(0.3), num_classes, reduction="none")
    assert rows.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_probabilities_are_summed_in_float32(dtype: torch.dtype) -> None:
    logits = torch.randn(6, 8, requires_grad=True)
    targets, scheme = torch.rand(6, 4).softmax(1).to(dtype), VirtualSmoothing(0.3)
    z = logits.detach().double().requires_grad_()
    dense = torch.cat([0.7 * targets.double(), torch.full((6, 4), 0.3 / 4).double()], 1)
    (wanted,) = torch.autograd.grad(F.cross_entropy(z, dense), z)
    loss = smoothed_cross_entropy(logits, targets, scheme, 4)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0].double(), wanted, rtol=0, atol=1e-7)


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_the_loss_has_the_dtype_of_the_logits_whatever_that_of_the_probabilities(num_classes: int) -> None:
    logits = torch.randn(6, 2 * num_classes, requires_grad=True)
    targets = torch.rand(6, num_classes, dtype=torch.float64).softmax(1)
    for reduction in ("none", "mean"):
        loss = smoothed_cross_entropy(logits, targets, VirtualSmoothing(0.3), num_classes, reduction=reduction)
        assert loss.dtype == torch.float32
