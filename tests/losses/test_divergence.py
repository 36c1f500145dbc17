"""KL and its relatives against scipy, torch, hand numbers and limits."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.special import rel_entr, softmax
from torch import Tensor

from vsmooth.losses import Divergence, decoupled_divergence, kl_divergence, standardise

CLASSES, ROWS = 5, 7


def two(dtype: torch.dtype = torch.float64, scale: float = 3.0, width: int = CLASSES) -> tuple[Tensor, Tensor]:
    reference, logits = scale * torch.randn(2, ROWS, width, dtype=torch.float64)
    return reference.to(dtype), logits.to(dtype)


def reference_kl(reference: Tensor, logits: Tensor, tau: float) -> Tensor:
    """From scipy, in float64, sample by sample."""
    p, q = (softmax(z.detach().double().numpy() / tau, axis=1) for z in (reference, logits))
    return torch.from_numpy(rel_entr(p, q).sum(1))


def test_numbers_computed_by_hand() -> None:
    # p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): KL = 1/2 log 2 - 1/4 log 2 = log(2) / 4
    reference = torch.tensor([[2.0, 1.0, 1.0]]).log()
    logits = torch.tensor([[1.0, 1.0, 2.0]]).log() + 3
    assert kl_divergence(reference, logits).item() == pytest.approx(math.log(2) / 4, abs=1e-6)
    # true class 0: b_p = (1/2, 1/2), b_q = (1/4, 3/4); the rest: (1/2, 1/2) and (1/3, 2/3)
    binary = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    rest = 0.5 * math.log(3 / 2) + 0.5 * math.log(3 / 4)
    found = decoupled_divergence(reference, logits, torch.tensor([0]), target_weight=3.0, other_weight=5.0)
    assert found.item() == pytest.approx(3 * binary + 5 * rest, abs=1e-6)


@pytest.mark.parametrize("tau", [0.5, 1.0, 4.0, 30.0])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-13), (torch.float32, 2e-6), (torch.bfloat16, 2e-6), (torch.float16, 2e-6)],
    ids=str,
)
def test_kl_against_scipy(tau: float, dtype: torch.dtype, tolerance: float) -> None:
    reference, logits = two(dtype)
    expected = reference_kl(reference, logits, tau)
    for reduction, value in [("none", expected), ("sum", expected.sum()), ("mean", expected.mean())]:
        found = kl_divergence(reference, logits, temperature=tau, reduction=reduction)  # type: ignore[arg-type]
        assert found.dtype == torch.promote_types(dtype, torch.float32)
        torch.testing.assert_close(found.double(), value, rtol=tolerance, atol=tolerance)


def test_mean_is_torchs_batchmean_and_gradient_reaches_both() -> None:
    reference, logits = (z.requires_grad_() for z in two())
    expected = F.kl_div(F.log_softmax(logits / 4, 1), F.softmax(reference / 4, 1), reduction="batchmean")
    found = kl_divergence(reference, logits, temperature=4.0)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, (reference, logits))
    torch.testing.assert_close(torch.autograd.grad(found, (reference, logits)), wanted)
    student = (F.softmax(logits / 4, 1) - F.softmax(reference / 4, 1)) / (4 * ROWS)
    torch.testing.assert_close(wanted[1], student)


@pytest.mark.parametrize("kind", ["kl", "decoupled", "standardised"])
def test_gradcheck(kind: Any) -> None:
    divergence = Divergence(kind, tau=3.0)
    targets = torch.arange(ROWS) % CLASSES
    reference, logits = (z.requires_grad_() for z in two())
    assert torch.autograd.gradcheck(lambda p, q: divergence(p, q, targets), (reference, logits))


@pytest.mark.parametrize("kind", ["kl", "decoupled", "standardised"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_equal_logits_have_no_divergence(kind: Any, dtype: torch.dtype) -> None:
    reference, _ = two(dtype)
    logits = reference.clone().requires_grad_()
    divergence = Divergence(kind, tau=30.0)(reference, logits, torch.zeros(ROWS, dtype=torch.int64))
    assert divergence.item() == 0
    divergence.backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-5  # tau times the rounding of a probability
    shifted = Divergence(kind, tau=30.0)(reference, reference + 5, torch.zeros(ROWS, dtype=torch.int64))
    assert shifted.item() == pytest.approx(0, abs=1e-9 if dtype is torch.float64 else 2e-3)


def test_reference_at_one_class_is_cross_entropy() -> None:
    _, logits = two()
    targets = torch.arange(ROWS) % CLASSES
    reference = F.one_hot(targets, CLASSES).double() * 1000
    torch.testing.assert_close(kl_divergence(reference, logits), F.cross_entropy(logits, targets))


@pytest.mark.parametrize(("dtype", "tau", "tolerance"), [(torch.float64, 1e5, 1e-4), (torch.float32, 1e3, 1e-2)])
def test_growing_tau_tends_to_matching_logits(dtype: torch.dtype, tau: float, tolerance: float) -> None:
    reference, logits = two(dtype)
    logits.requires_grad_()
    centred = (logits - logits.mean(1, keepdim=True)) - (reference - reference.mean(1, keepdim=True))
    matching = centred.square().sum() / (2 * CLASSES * ROWS)
    (wanted,) = torch.autograd.grad(matching, logits)

    def distance(tau: float) -> float:
        found = Divergence(tau=tau)(reference, logits, torch.zeros(ROWS, dtype=torch.int64))
        (gradient,) = torch.autograd.grad(found, logits)
        return ((gradient - wanted).norm() / wanted.norm()).item()

    near, middle, far = distance(tau), distance(10.0), distance(1.0)
    assert near < tolerance < middle < far


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_decoupled_parts_make_up_the_kl(tau: float) -> None:
    reference, logits = two()
    targets = torch.arange(ROWS) % CLASSES
    for row in range(ROWS):
        p, q, y = reference[row : row + 1], logits[row : row + 1], targets[row : row + 1]
        rest = 1 - (p / tau).softmax(1)[0, y].item()
        found = decoupled_divergence(p, q, y, temperature=tau, target_weight=1.0, other_weight=rest)
        torch.testing.assert_close(found, kl_divergence(p, q, temperature=tau))


def test_decoupled_against_its_sources_formula() -> None:
    """Masks and probabilities, as the paper writes it; here logits and a gather."""
    reference, logits = two()
    targets, tau = torch.arange(ROWS) % CLASSES, 4.0
    own = F.one_hot(targets, CLASSES).bool()
    p, q = (reference / tau).softmax(1), (logits / tau).softmax(1)
    expected = 0.0
    for row in range(ROWS):
        py, qy = p[row, targets[row]], q[row, targets[row]]
        binary = py * (py / qy).log() + (1 - py) * ((1 - py) / (1 - qy)).log()
        po, qo = p[row, ~own[row]] / (1 - py), q[row, ~own[row]] / (1 - qy)
        expected += (1.0 * binary + 8.0 * (po * (po / qo).log()).sum()).item() / ROWS
    assert decoupled_divergence(reference, logits, targets, temperature=tau).item() == pytest.approx(expected)


def test_standardised_logits_ignore_shift_and_scale() -> None:
    reference, logits = two()
    rows = standardise(logits)
    torch.testing.assert_close(rows.mean(1), torch.zeros(ROWS).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(rows.std(1, correction=0), torch.ones(ROWS).double(), atol=1e-7, rtol=0)
    divergence = partial(Divergence("standardised", tau=2.0), targets=torch.zeros(ROWS))
    torch.testing.assert_close(
        divergence(reference, 7 * logits - 2), divergence(reference, logits), rtol=1e-6, atol=1e-9
    )
    z = [(t - t.mean(1, keepdim=True)) / t.std(1, keepdim=True, correction=0) for t in (reference, logits)]
    torch.testing.assert_close(
        divergence(reference, logits), 4 * kl_divergence(*z, temperature=2.0), rtol=1e-6, atol=1e-9
    )
    flat = torch.zeros(2, CLASSES, requires_grad=True)
    standardise(flat).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["kl", "decoupled", "standardised"])
def test_float32_under_bf16_autocast(kind: Any) -> None:
    reference, logits = two(torch.bfloat16)
    targets = torch.arange(ROWS) % CLASSES
    expected = Divergence(kind)(reference.double(), logits.double(), targets)
    with torch.autocast("cpu", torch.bfloat16):
        found = Divergence(kind)(reference, logits, targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_divergence_multiplies_with_tau_squared() -> None:
    reference, logits = two()
    unused = torch.zeros(ROWS)
    torch.testing.assert_close(
        Divergence(tau=7.0)(reference, logits, unused), 49 * kl_divergence(reference, logits, temperature=7.0)
    )
    assert Divergence() == Divergence("kl", 30.0)


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, math.inf])
def test_impossible_temperature(tau: float) -> None:
    message = f"the temperature tau must be positive and finite, got {tau}"
    with pytest.raises(ValueError, match=message):
        Divergence(tau=tau)
    for call in (kl_divergence, partial(decoupled_divergence, targets=torch.zeros(ROWS, dtype=torch.int64))):
        with pytest.raises(ValueError, match=message):
            call(*two(), temperature=tau)


def test_other_bad_input() -> None:
    reference, logits = two()
    with pytest.raises(ValueError, match=r"\(N, C\) of one shape, got \(7, 5\) and \(7, 4\)"):
        kl_divergence(reference, logits[:, :4])
    with pytest.raises(ValueError, match=r"\(N, C\) of one shape, got \(5,\) and \(5,\)"):
        kl_divergence(reference[0], logits[0])
    with pytest.raises(ValueError, match=r"floating point, got torch.int64"):
        kl_divergence(reference.long(), logits)
    with pytest.raises(ValueError, match="reduction must be 'none', 'mean' or 'sum', got 'batchmean'"):
        kl_divergence(reference, logits, reduction="batchmean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"class indices \(7,\), got torch.float64 \(7, 5\); .* mixed labels"):
        decoupled_divergence(reference, logits, logits.softmax(1))
    with pytest.raises(ValueError, match="3 classes or more"):
        decoupled_divergence(reference[:, :2], logits[:, :2], torch.zeros(ROWS, dtype=torch.int64))
    with pytest.raises(ValueError, match="kind must be one of kl, decoupled, standardised, got 'dkd'"):
        Divergence("dkd")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="other_weight must not be negative, got -1"):
        Divergence("decoupled", other_weight=-1)


@pytest.mark.parametrize("kind", ["kl", "standardised"])
def test_weights_of_the_decoupled_divergence_are_refused_elsewhere(kind: str) -> None:
    with pytest.raises(ValueError, match=f"other_weight are only for the decoupled divergence, not '{kind}'"):
        Divergence(kind, target_weight=3.0)  # type: ignore[arg-type]
