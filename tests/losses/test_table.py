from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from vsmooth import (
    LabelScheme,
    LabelSmoothing,
    OneHot,
    VirtualSmoothing,
    smoothed_cross_entropy,
    virtual_smoothing_loss,
)
from vsmooth.losses import Reduction, cross_entropy, table
from vsmooth.losses.table import table_loss

SCHEMES = [
    OneHot(),
    LabelSmoothing(0.2),
    VirtualSmoothing(0.3, 3),
    VirtualSmoothing(0.6, distribution=(0.2, 0.0, 0.8)),
]
K, ROWS = 7, 12


@contextmanager
def without_table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(cross_entropy, "table_loss", lambda *_: None)
        yield


def refuse(*_: object) -> Tensor:
    raise AssertionError("the closed form was used")


@pytest.fixture(autouse=True)
def _no_table_kept() -> None:
    table._label_table.cache_clear()


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_few_classes_take_the_table_and_get_the_numbers_of_the_closed_form(
    scheme: LabelScheme, dtype: torch.dtype, reduction: Reduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.randn(ROWS, scheme.width(K), dtype=dtype, requires_grad=True)
    targets = torch.randint(K, (ROWS,))
    with monkeypatch.context() as patch:
        patch.setattr(cross_entropy, "closed_form", refuse)
        loss = smoothed_cross_entropy(logits, targets, scheme, K, reduction=reduction)
    with without_table(monkeypatch):
        expected = smoothed_cross_entropy(logits, targets, scheme, K, reduction=reduction)
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("rows", "width", "num_classes", "dtype"),
    [
        (ROWS, 80, 40, torch.float32),
        (40_000, 14, K, torch.float32),
        (ROWS, 14, K, torch.bfloat16),
        (ROWS, 14, K, torch.float16),
    ],
    ids=["many classes", "many rows", "bfloat16", "float16"],
)
def test_the_table_is_declined_where_the_closed_form_serves_better(
    rows: int, width: int, num_classes: int, dtype: torch.dtype
) -> None:
    logits, targets = torch.randn(rows, width).to(dtype), torch.randint(num_classes, (rows,))
    assert table_loss(logits, targets, VirtualSmoothing(0.3), num_classes, -100, "mean") is None


@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_targets_that_may_be_ignored_are_left_to_the_closed_form(ignore_index: int) -> None:
    logits = torch.randn(4, 2 * K)
    targets = torch.tensor([1, ignore_index, 3, 0])
    assert table_loss(logits, targets, VirtualSmoothing(0.3), K, ignore_index, "mean") is None
    loss = virtual_smoothing_loss(logits, targets, K, 0.3, ignore_index=ignore_index)
    kept = [0, 2, 3]
    torch.testing.assert_close(loss, virtual_smoothing_loss(logits[kept], targets[kept], K, 0.3))


@pytest.mark.parametrize("alpha", [0.123, 0.456])
def test_the_table_belongs_to_its_scheme(alpha: float, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, targets = torch.randn(ROWS, 2 * K), torch.randint(K, (ROWS,))
    for scheme in (
        VirtualSmoothing(alpha),
        VirtualSmoothing(alpha, K),
        VirtualSmoothing(alpha, distribution=(1, *[0] * (K - 1))),
        VirtualSmoothing(alpha / 2),
    ):
        loss = smoothed_cross_entropy(logits, targets, scheme, K)
        with without_table(monkeypatch):
            torch.testing.assert_close(loss, smoothed_cross_entropy(logits, targets, scheme, K))


def test_a_loss_first_taken_in_inference_mode_can_be_trained_on_afterwards() -> None:
    logits, targets = torch.randn(ROWS, 2 * K, requires_grad=True), torch.randint(K, (ROWS,))
    with torch.inference_mode():
        before = virtual_smoothing_loss(logits, targets, K, 0.3)
    loss = virtual_smoothing_loss(logits, targets, K, 0.3)
    loss.backward()
    assert loss == before
    assert logits.grad is not None


def test_the_table_lives_where_the_logits_do_not_on_the_default_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logits, targets = torch.randn(ROWS, 2 * K), torch.randint(K, (ROWS,))
    with torch.device("meta"):
        inside = virtual_smoothing_loss(logits, targets, K, 0.3)
    after = virtual_smoothing_loss(logits, targets, K, 0.3)
    with without_table(monkeypatch):
        expected = virtual_smoothing_loss(logits, targets, K, 0.3)
    torch.testing.assert_close(inside, expected)
    torch.testing.assert_close(after, expected)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_a_lower_matmul_precision_does_not_touch_the_loss(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, targets = torch.randn(ROWS, 2 * K) * 30, torch.randint(K, (ROWS,))
    expected = virtual_smoothing_loss(logits.double(), targets, K, 0.3)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        loss = virtual_smoothing_loss(logits, targets, K, 0.3)
        assert table_loss(logits, targets, VirtualSmoothing(0.3), K, -100, "mean") is None
    finally:
        torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
