from __future__ import annotations

from collections.abc import Callable

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
    virtual_smoothing_loss,
)
from vsmooth.losses import Reduction

SCHEMES = [
    OneHot(),
    LabelSmoothing(0.1),
    LabelSmoothing(1.0),
    VirtualSmoothing(0.0, 3),
    VirtualSmoothing(0.3, 3),
    VirtualSmoothing(0.3),
    VirtualSmoothing(1.0, 1),
    VirtualSmoothing(0.6, distribution=(0.2, 0.0, 0.8)),
]
FEW_CLASSES, MANY_CLASSES = 4, 40  # the table of labels and the closed form
SHAPES = [(6,), (6, 3), (3, 2, 5)]  # places: batch, then d1, d2
# what the loss and the gradient may differ by from float64; half logits accumulate in float32
LOSS_TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 5e-6,
    torch.bfloat16: 5e-6,
    torch.float16: 5e-6,
}
GRADIENT_TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 1e-6,
    torch.bfloat16: 4e-3,
    torch.float16: 5e-4,
}
DTYPES = list(LOSS_TOLERANCE)


def random_targets(kind: str, num_classes: int, places: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    index = torch.randint(num_classes, places)
    if kind == "index":
        return index
    other = torch.randint(num_classes, places)
    mixed = 0.25 * F.one_hot(index, num_classes) + 0.75 * F.one_hot(other, num_classes)  # exact in every dtype
    return (mixed.movedim(-1, 1) if places else mixed).to(dtype)


def random_logits(width: int, places: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    shape = (places[0], width, *places[1:]) if places else (width,)
    return torch.randn(shape).mul(3).to(dtype).requires_grad_()


def log_probabilities(*probabilities: float) -> Tensor:
    return (torch.tensor(probabilities).double().log() + 5).requires_grad_()  # a shift changes nothing


# softmax .4, .3, .2, .1; by hand
HAND_COMPUTED = [
    (OneHot(), 4, torch.tensor(0), 0.916291, [-0.6, 0.3, 0.2, 0.1]),
    (LabelSmoothing(0.2), 4, torch.tensor(0), 1.034647, [-0.45, 0.25, 0.15, 0.05]),
    (VirtualSmoothing(0.3), 2, torch.tensor(0), 1.228207, [-0.3, 0.3, 0.05, -0.05]),
    (VirtualSmoothing(0.3), 2, torch.tensor([0.5, 0.5]), 1.328895, [0.05, -0.05, 0.05, -0.05]),
    (
        VirtualSmoothing(0.3, distribution=(1.0, 0.0)),
        2,
        torch.tensor(1),
        1.325612,
        [0.4, -0.4, -0.1, 0.1],
    ),
]


@pytest.mark.parametrize(("scheme", "num_classes", "target", "loss", "gradient"), HAND_COMPUTED)
@pytest.mark.parametrize("batch", [None, 1, 3])
def test_the_numbers_computed_by_hand(
    scheme: LabelScheme, num_classes: int, target: Tensor, loss: float, gradient: list[float], batch: int | None
) -> None:
    logits = log_probabilities(0.4, 0.3, 0.2, 0.1)
    z = logits if batch is None else logits.expand(batch, -1)
    y = target if batch is None else target.expand(batch, *target.shape)
    result = smoothed_cross_entropy(z, y, scheme, num_classes)
    result.backward()
    assert result.item() == pytest.approx(loss, abs=2e-6)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor(gradient).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("num_classes", [FEW_CLASSES, MANY_CLASSES])
@pytest.mark.parametrize("kind", ["index", "probability"])
@pytest.mark.parametrize("places", [(), *SHAPES], ids=str)
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_loss_and_gradient_are_those_of_torch_with_the_encoded_labels(
    scheme: LabelScheme,
    places: tuple[int, ...],
    kind: str,
    num_classes: int,
    dtype: torch.dtype,
    dense_loss: Callable[..., Tensor],
) -> None:
    logits = random_logits(scheme.width(num_classes), places, dtype)
    targets = random_targets(kind, num_classes, places, dtype)
    expected = dense_loss(logits, targets, scheme, num_classes)
    upstream = torch.rand(places).double() + 0.5
    (wanted,) = torch.autograd.grad(expected, logits, upstream)
    for reduction, value in [("none", expected), ("sum", expected.sum()), ("mean", expected.mean())]:
        loss = smoothed_cross_entropy(logits, targets, scheme, num_classes, reduction=reduction)
        assert loss.dtype == torch.promote_types(dtype, torch.float32)
        tolerance = LOSS_TOLERANCE[dtype]
        torch.testing.assert_close(loss.double(), value, atol=tolerance, rtol=tolerance)
    per_row = smoothed_cross_entropy(logits, targets, scheme, num_classes, reduction="none")
    (gradient,) = torch.autograd.grad(per_row, logits, upstream.to(per_row.dtype))
    assert gradient.dtype == dtype
    tolerance = GRADIENT_TOLERANCE[dtype]
    torch.testing.assert_close(gradient, wanted, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["index", "probability"])
@pytest.mark.parametrize(
    "scheme",
    [OneHot(), LabelSmoothing(0.1), VirtualSmoothing(0.3), VirtualSmoothing(0.3, 1)],
    ids=repr,
)
def test_a_batch_over_several_blocks(
    scheme: LabelScheme, kind: str, dtype: torch.dtype, reduction: Reduction, dense_loss: Callable[..., Tensor]
) -> None:
    num_classes, rows = 500, 1100  # more than 2**19 logits, and not a whole number of blocks
    logits = random_logits(scheme.width(num_classes), (rows,), dtype)
    targets = random_targets(kind, num_classes, (rows,), dtype)
    expected = dense_loss(logits, targets, scheme, num_classes)
    expected = expected if reduction == "none" else getattr(expected, reduction)()
    loss = smoothed_cross_entropy(logits, targets, scheme, num_classes, reduction=reduction)
    torch.testing.assert_close(loss.double(), expected, atol=2e-5, rtol=2e-5)
    upstream = torch.rand_like(expected) * rows if reduction == "mean" else torch.rand_like(expected)
    (wanted,) = torch.autograd.grad(expected, logits, upstream)
    (gradient,) = torch.autograd.grad(loss, logits, upstream.to(loss.dtype))
    tolerance = GRADIENT_TOLERANCE[dtype]
    torch.testing.assert_close(gradient, wanted, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("num_classes", [FEW_CLASSES, MANY_CLASSES])
def test_index_targets_of_any_integer_dtype_count_alike(num_classes: int) -> None:
    logits, targets = random_logits(2 * num_classes, (6,), torch.float32), torch.randint(num_classes, (6,))
    expected = virtual_smoothing_loss(logits, targets, num_classes, 0.3)
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        torch.testing.assert_close(virtual_smoothing_loss(logits, targets.to(dtype), num_classes, 0.3), expected)


@pytest.mark.parametrize("num_classes", [FEW_CLASSES, MANY_CLASSES])
def test_non_contiguous_logits_and_targets_count_by_their_values(num_classes: int) -> None:
    logits = random_logits(12, (2 * num_classes,), torch.float32).detach().T.requires_grad_()
    targets = torch.randint(num_classes, (24,))[::2]
    loss = virtual_smoothing_loss(logits, targets, num_classes, 0.3)
    copied = logits.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    expected = virtual_smoothing_loss(copied, targets.clone(), num_classes, 0.3)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], torch.autograd.grad(expected, copied)[0])


@pytest.mark.parametrize("num_classes", [FEW_CLASSES, MANY_CLASSES])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_modules_and_functions_agree(num_classes: int, reduction: Reduction) -> None:
    logits, targets = torch.randn(6, num_classes + 3), torch.randint(num_classes, (6,))
    scheme = VirtualSmoothing(0.3, 3)
    results = [
        SmoothedCrossEntropy(scheme, num_classes, reduction=reduction)(logits, targets),
        VirtualSmoothingLoss(num_classes, 0.3, reduction=reduction)(logits, targets),
        VirtualSmoothingLoss(num_classes, 0.3, 3, reduction=reduction)(logits, targets),
        smoothed_cross_entropy(logits, targets, scheme, num_classes, reduction=reduction),
        virtual_smoothing_loss(logits, targets, num_classes, 0.3, reduction=reduction),
    ]
    assert all(torch.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("kind", ["index", "probability"])
@pytest.mark.parametrize("num_classes", [FEW_CLASSES, MANY_CLASSES])
def test_an_empty_batch_gives_what_torch_gives(num_classes: int, kind: str) -> None:
    logits = torch.zeros(0, 2 * num_classes, requires_grad=True)
    targets = random_targets(kind, num_classes, (0,), torch.float32)
    assert virtual_smoothing_loss(logits, targets, num_classes, 0.3).isnan()
    total = virtual_smoothing_loss(logits, targets, num_classes, 0.3, reduction="sum")
    total.backward()
    assert total == 0
    assert virtual_smoothing_loss(logits, targets, num_classes, 0.3, reduction="none").shape == (0,)
