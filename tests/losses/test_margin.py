"""Margins and DLR against hand numbers, the official AutoAttack, and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vsmooth.losses import dlr, margin, targeted_dlr, targeted_margin

LABELS = torch.tensor([0, 3, 2, 1, 4, 0])
TARGETS = torch.tensor([1, 0, 4, 0, 3, 2])


def logits(dtype: torch.dtype = torch.float64, width: int = 5) -> Tensor:
    return (3 * torch.randn(len(LABELS), width, dtype=torch.float64)).to(dtype)


def test_numbers_computed_by_hand() -> None:
    z, y, t = torch.tensor([[4.0, 1.0, 3.0, 0.0]]).repeat(2, 1), torch.tensor([0, 3]), torch.tensor([1, 2])
    assert margin(z, y).tolist() == [-1, 4]
    assert targeted_margin(z, y, t).tolist() == [-3, 3]
    assert dlr(z, y).tolist() == pytest.approx([-1 / 3, 4 / 3])  # z_1st - z_3rd = 4 - 1
    assert targeted_dlr(z, y, t).tolist() == pytest.approx([-3 / 3.5, 3 / 3.5])  # 4 - (1 + 0) / 2


def test_a_positive_margin_is_a_wrong_decision() -> None:
    z = logits()
    assert ((margin(z, LABELS) > 0) == (z.argmax(1) != LABELS)).all()
    assert ((dlr(z, LABELS) > 0) == (z.argmax(1) != LABELS)).all()
    others = torch.stack([targeted_margin(z, LABELS, torch.full_like(LABELS, t)) for t in range(5)], 1)
    others[torch.arange(len(z)), LABELS] = -math.inf
    assert torch.equal(others.amax(1), margin(z, LABELS))


def test_dlr_is_the_official_one() -> None:
    apgd = pytest.importorskip("pyautoattack.autopgd_base")
    z = logits(torch.float32)
    attack = apgd.APGDAttack_targeted(lambda x: x, eps=0.1, device="cpu")
    attack.y_target = TARGETS
    assert torch.equal(dlr(z, LABELS), attack.dlr_loss(z, LABELS))
    assert torch.equal(targeted_dlr(z, LABELS, TARGETS), attack.dlr_loss_targeted(z, LABELS))


def test_dlr_does_not_see_scale_and_shift() -> None:
    z = logits()
    torch.testing.assert_close(dlr(1000 * z + 7, LABELS), dlr(z, LABELS))
    torch.testing.assert_close(targeted_dlr(z / 1000 - 7, LABELS, TARGETS), targeted_dlr(z, LABELS, TARGETS))


@pytest.mark.parametrize(
    "loss",
    [
        lambda z: margin(z, LABELS),
        lambda z: targeted_margin(z, LABELS, TARGETS),
        lambda z: dlr(z, LABELS),
        lambda z: targeted_dlr(z, LABELS, TARGETS),
    ],
    ids=["margin", "targeted margin", "dlr", "targeted dlr"],
)
def test_gradcheck(loss: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(loss, logits().requires_grad_())


def test_a_tie_has_the_gradient_of_one_class() -> None:
    z = torch.tensor([[2.0, 1.0, 1.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(margin(z, torch.tensor([0])).sum(), z)
    assert sorted(gradient[0].tolist()) == [-1, 0, 1]
    equal = torch.zeros(1, 4, requires_grad=True)
    for loss in (dlr(equal, torch.tensor([0])), targeted_dlr(equal, torch.tensor([0]), torch.tensor([1]))):
        assert loss.item() == 0
        assert torch.autograd.grad(loss.sum(), equal)[0].isfinite().all()


def test_a_saturated_softmax_leaves_the_margin_its_gradient() -> None:
    z = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(z, torch.tensor([0])), z)
    assert not gradient.any()
    (gradient,) = torch.autograd.grad(margin(z, torch.tensor([0])).sum(), z)
    assert gradient.tolist() == [[-1, 1, 0]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    z = logits(dtype)
    for loss in (margin, dlr):
        found = loss(z, LABELS)
        assert found.dtype == torch.float32
        assert torch.equal(found, loss(z.float(), LABELS))
    assert torch.equal(targeted_margin(z, LABELS, TARGETS), targeted_margin(z.float(), LABELS, TARGETS))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8], ids=str)
def test_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    z = logits()
    assert torch.equal(margin(z, LABELS.to(dtype)), margin(z, LABELS))


def test_too_few_classes_are_refused() -> None:
    zero = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"the DLR loss needs 3 classes or more, got 2; use the margin instead"):
        dlr(torch.zeros(2, 2), zero)
    with pytest.raises(ValueError, match=r"the targeted DLR loss needs 4 classes or more, got 3; use the margin"):
        targeted_dlr(torch.zeros(2, 3), zero, zero + 1)
    with pytest.raises(ValueError, match=r"a margin needs 2 classes or more, got 1"):
        margin(torch.zeros(2, 1), zero)


def test_bad_input_is_named() -> None:
    z = logits()
    with pytest.raises(ValueError, match=r"target 5 is out of range: class indices must be in 0\.\.4"):
        margin(z, LABELS + 1)
    with pytest.raises(ValueError, match=r"target -1 is out of range"):
        targeted_margin(z, LABELS, TARGETS - 1)
    with pytest.raises(ValueError, match=r"labels must be class indices \(6,\), .* got torch.int64 \(5,\)"):
        dlr(z, LABELS[:5])
    with pytest.raises(ValueError, match=r"targets must be class indices \(6,\), .* got torch.float32 \(6,\)"):
        targeted_dlr(z, LABELS, TARGETS.float())
    with pytest.raises(ValueError, match=r"got torch.bool \(6,\)"):
        margin(z, LABELS > 0)
    for bad in (z[0], z.long()):
        with pytest.raises(ValueError, match=r"logits must be floating point \(N, C\), got"):
            margin(bad, LABELS)
