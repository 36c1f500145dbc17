"""Agreement and divergence of a student and its teacher, against scipy and hand numbers."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import rel_entr, softmax

from vsmooth.metrics import Fidelity, fidelity


def test_numbers_computed_by_hand() -> None:
    teacher = torch.tensor([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0]]).log()
    student = torch.tensor([[1.0, 1.0, 2.0], [1.0, 2.0, 1.0]]).log()
    found = fidelity(teacher, student)
    assert found.agreement == 0.5
    assert found.divergence == pytest.approx(math.log(2) / 4 / 2, abs=1e-7)


def test_against_scipy() -> None:
    torch.manual_seed(0)
    teacher, student = 4 * torch.randn(2, 50, 7)
    p, q = (softmax(z.double().numpy(), axis=1) for z in (teacher, student))
    found = fidelity(teacher, student)
    assert found.divergence == pytest.approx(rel_entr(p, q).sum(1).mean(), rel=1e-9)
    assert found.agreement == pytest.approx((p.argmax(1) == q.argmax(1)).mean())


def test_limits() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64)
    same = fidelity(logits, logits + 3)
    assert same.agreement == 1
    assert same.divergence == pytest.approx(0, abs=1e-12)
    far = fidelity(torch.tensor([[1e4, 0.0]]), torch.tensor([[0.0, 1e4]]))  # a probability of 0 in float64
    assert far == Fidelity(0.0, 1e4)


def test_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(5, 4\) and \(5, 3\)"):
        fidelity(torch.randn(5, 4), torch.randn(5, 3))
