"""Losses on outliers: the formula, the three targets as labels, the limits, and pytorch-ood."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vsmooth.losses import OutlierTarget, energy_bounds, outlier_exposure

K, V = 4, 3


def logits(width: int, count: int = 6, seed: int = 0) -> Tensor:
    return 3 * torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def label(target: OutlierTarget, alpha: float) -> Tensor:
    """The target that the paper writes down, Sec. 4.3."""
    real = {"uniform": 1.0, "vs1": 1 - alpha, "vs2": 0.0}[target]
    return torch.tensor([real / K] * K + [(1 - real) / V] * V, dtype=torch.float64)


def test_without_virtual_classes_it_is_the_formula_of_outlier_exposure() -> None:
    z = logits(K)
    torch.testing.assert_close(outlier_exposure(z, K), (z.logsumexp(1) - z.mean(1)).mean())


@pytest.mark.parametrize("target", ["uniform", "vs1", "vs2"])
def test_the_loss_is_cross_entropy_against_the_papers_label(target: OutlierTarget) -> None:
    z = logits(K + V).requires_grad_()
    found = outlier_exposure(z, K, target, 0.3, reduction="none")
    expected = functional.cross_entropy(z, label(target, 0.3).expand(6, -1), reduction="none")
    torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(lambda x: outlier_exposure(x, K, target, 0.3), z)


@pytest.mark.parametrize("target", ["uniform", "vs1", "vs2"])
def test_the_gradient_vanishes_at_the_label(target: OutlierTarget) -> None:
    z = label(target, 0.3).clamp(min=1e-30).log().expand(2, -1).clone().requires_grad_()
    outlier_exposure(z, K, target, 0.3).backward()
    assert z.grad is not None
    assert z.grad.abs().max() < 1e-12


def test_limits() -> None:
    z = logits(K + V)
    assert outlier_exposure(z, K, "vs1", 0.0) == outlier_exposure(z, K, "uniform")
    assert outlier_exposure(z, K, "vs1", 1.0) == outlier_exposure(z, K, "vs2")
    lifted = z + torch.tensor([0.0] * K + [5.0] * V)  # vs2 wants the virtual classes alone
    assert outlier_exposure(lifted, K, "vs2") < outlier_exposure(z, K, "vs2")
    assert outlier_exposure(lifted, K, "uniform") > outlier_exposure(z, K, "uniform")


def test_pytorch_ood_has_the_same_term() -> None:
    pytorch_ood = pytest.importorskip("pytorch_ood.loss")
    z = logits(K).float()
    reference = pytorch_ood.OutlierExposureLoss(alpha=0.5, reduction="none")(z, torch.full((6,), -1))
    torch.testing.assert_close(0.5 * outlier_exposure(z, K, reduction="none"), reference)


def test_energy_bounds_by_hand() -> None:
    inside, outside = torch.tensor([[10.0, 10.0], [30.0, 0.0]]).double(), torch.tensor([[7.0, -50.0]]).double()
    above, below = energy_bounds(inside, outside, -23.0, -5.0)
    first = -10 - torch.tensor(2.0).log().item() + 23
    assert above.item() == pytest.approx(first**2 / 2)
    assert below.item() == pytest.approx((-5 + 7) ** 2)
    assert energy_bounds(inside + 20, outside - 20) == (0, 0)


def test_pytorch_ood_has_the_same_energy_bounds() -> None:
    pytorch_ood = pytest.importorskip("pytorch_ood.loss")
    inside, outside = logits(K), logits(K, 9, seed=1)
    reference = pytorch_ood.EnergyRegularizedLoss(alpha=1.0, margin_in=-3.0, margin_out=-2.0)
    targets = torch.cat([torch.zeros(6, dtype=torch.long), torch.full((9,), -1)])
    whole = reference(torch.cat([inside, outside]), targets)
    own = functional.cross_entropy(inside, targets[:6])
    torch.testing.assert_close(own + sum(energy_bounds(inside, outside, -3.0, -2.0)), whole)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: outlier_exposure(logits(K), K, "flat"), "target of outliers must be one of uniform, vs1, vs2"),  # type: ignore[arg-type]
        (lambda: outlier_exposure(logits(K), K, "vs2"), "the target 'vs2' of outliers needs virtual classes"),
        (lambda: outlier_exposure(logits(K + V), K, "vs1", 1.5), r"alpha must be a number in \[0, 1\], got 1.5"),
        (lambda: outlier_exposure(logits(K - 1), K), "need exactly 4"),
        (lambda: energy_bounds(logits(K), logits(K), -5, -23), "must be bounded below that of outliers, got -5 and"),
    ],
)
def test_mistakes(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
