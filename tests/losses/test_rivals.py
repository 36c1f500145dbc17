"""Rivals against formulas written out in float64, their limits, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vsmooth.labels import LabelSmoothing, VirtualSmoothing
from vsmooth.losses import parse_candidates, parse_objective, smoothed_cross_entropy
from vsmooth.losses.catalogue import Candidates

K = 5
Formula = Callable[[list[float], int], float]  # logits of one sample and its class


def softmax(z: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in z)
    return [math.exp(value) / total for value in z]


def ce(z: list[float], y: int) -> float:
    return -math.log(softmax(z)[y])


def focal(z: list[float], y: int, gamma: float) -> float:
    return -((1 - softmax(z)[y]) ** gamma) * math.log(softmax(z)[y])


def normalised(z: list[float], tau: float) -> list[float]:
    norm = math.sqrt(sum(value * value for value in z)) + 1e-7  # as in the authors' code
    return [value / norm / tau for value in z]


def entropy(z: list[float]) -> float:
    return -sum(p * math.log(p) for p in softmax(z))


def vs(z: list[float], y: int, alpha: float) -> float:
    """Of K real logits and the virtual ones after them."""
    p = softmax(z)
    return -(1 - alpha) * math.log(p[y]) - alpha * sum(math.log(v) for v in p[K:]) / len(p[K:])


FORMULAS: dict[str, Formula] = {
    "scaled:0.3": lambda z, y: 0.7 * ce(z, y),
    "vs-normalised:0.3": lambda z, y: vs(z, y, 0.3) / 0.7,
    "vs-frozen:0.3": lambda z, y: vs([*z, *[0.0] * K], y, 0.3),
    "dummy:3": ce,
    "z-loss:0.01": lambda z, y: ce(z, y) + 0.01 * math.log(sum(math.exp(v) for v in z)) ** 2,
    "focal:2": lambda z, y: focal(z, y, 2),
    "focal:0.5": lambda z, y: focal(z, y, 0.5),
    "flsd-53": lambda z, y: focal(z, y, 5 if softmax(z)[y] < 0.2 else 3),
    "logit-norm:0.04": lambda z, y: ce(normalised(z, 0.04), y),
    "max-sup:0.2": lambda z, y: ce(z, y) + 0.2 * (max(z) - sum(z) / K),
    "mbls:1:0.3": lambda z, y: ce(z, y) + 0.3 * sum(max(0.0, max(z) - v - 1) for v in z) / K,
    "mbls:1": lambda z, y: ce(z, y) + 0.1 * sum(max(0.0, max(z) - v - 1) for v in z) / K,
    "confidence-penalty:0.3": lambda z, y: ce(z, y) - 0.3 * entropy(z),
    "poly:2": lambda z, y: ce(z, y) + 2 * (1 - softmax(z)[y]),
    "poly:-0.5": lambda z, y: ce(z, y) - 0.5 * (1 - softmax(z)[y]),
}


def sample(width: int = K) -> tuple[Tensor, Tensor]:
    logits = 2 * torch.randn(20, width, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return logits, torch.arange(20) % K


def loss_of(text: str, logits: Tensor, targets: Tensor) -> Tensor:
    return parse_objective(text).loss(logits, targets, K)


@pytest.mark.parametrize("text", FORMULAS)
def test_the_formula_of_each_sample(text: str) -> None:
    logits, targets = sample(K + parse_objective(text).num_virtual(K))
    expected = [FORMULAS[text](z, y) for z, y in zip(logits.tolist(), targets.tolist(), strict=True)]
    assert loss_of(text, logits, targets).item() == pytest.approx(sum(expected) / len(expected), rel=1e-9)


@pytest.mark.parametrize("text", ["mbls:1e5", "mbls:0:0", "focal:0", "poly:0", "max-sup:0", "z-loss:0", "scaled:0"])
def test_limits_that_are_cross_entropy(text: str) -> None:
    logits, targets = sample()
    torch.testing.assert_close(loss_of(text, logits, targets), functional.cross_entropy(logits, targets))


def test_limits_that_are_other_objectives() -> None:
    logits, targets = sample()
    torch.testing.assert_close(loss_of("mbls:0:0.2", logits, targets), loss_of("max-sup:0.2", logits, targets))
    right = logits.scatter(1, targets.unsqueeze(1), 9.0)  # every prediction is right
    smoothed = smoothed_cross_entropy(right, targets, LabelSmoothing(0.2), K)
    torch.testing.assert_close(loss_of("max-sup:0.2", right, targets), smoothed)
    wide, _ = sample(2 * K)
    torch.testing.assert_close(loss_of("dummy:5", wide, targets), loss_of("vs:0", wide, targets))
    flat = functional.cross_entropy(torch.zeros(20, K).double(), targets)
    torch.testing.assert_close(loss_of("logit-norm:1e5", logits, targets), flat, atol=1e-4, rtol=0)
    torch.testing.assert_close(loss_of("logit-norm:1", 7 * logits, targets), loss_of("logit-norm:1", logits, targets))
    easy = logits.scatter(1, targets.unsqueeze(1), 4.0)
    torch.testing.assert_close(loss_of("flsd-53", easy, targets), loss_of("focal:3", easy, targets))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9])
def test_frozen_and_normalised_are_virtual_smoothing(alpha: float) -> None:
    logits, targets = sample()
    zeros = functional.pad(logits, (0, K))
    frozen = smoothed_cross_entropy(zeros, targets, VirtualSmoothing(alpha), K)
    torch.testing.assert_close(loss_of(f"vs-frozen:{alpha}", logits, targets), frozen)
    wide, _ = sample(2 * K)
    virtual = smoothed_cross_entropy(wide, targets, VirtualSmoothing(alpha), K)
    torch.testing.assert_close(loss_of(f"vs-normalised:{alpha}", wide, targets) * (1 - alpha), virtual)


def test_the_frozen_optimum_has_one_logsumexp() -> None:
    """With V = K zeros beside them the real classes hold 1 - alpha, so logsumexp is log(K (1 - alpha) / alpha)."""
    logits, targets = sample()
    free = logits.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe")
    soft = 0.9 * functional.one_hot(targets, K).double() + 0.02

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of("vs-frozen:0.3", free, soft)
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(free.detach().softmax(1), soft, atol=1e-3, rtol=0)
    assert free.detach().logsumexp(1).numpy() == pytest.approx(math.log(K * 0.7 / 0.3), abs=1e-2)


def test_virtual_smoothing_is_split_into_three_terms() -> None:
    """(1 - alpha) CE_K + BCE(sigmoid(g), 1 - alpha) + alpha CE(uniform, softmax of the virtual ones)."""
    logits, targets = sample(2 * K)
    real, virtual = logits[:, :K], logits[:, K:]
    g = real.logsumexp(1) - virtual.logsumexp(1)
    held = functional.binary_cross_entropy_with_logits(g, torch.full_like(g, 0.7))
    even = 0.3 * functional.cross_entropy(virtual, torch.full_like(virtual, 1 / K))
    split = loss_of("scaled:0.3", real, targets) + held + even
    torch.testing.assert_close(loss_of("vs:0.3", logits, targets), split)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scaled:1", r"alpha must be a number in \[0, 1\), got 1.0"),
        ("vs-normalised:1", r"alpha must be a number in \[0, 1\), got 1.0"),
        ("vs-frozen:-0.1", r"alpha must be a number in \[0, 1\), got -0.1"),
        ("dummy:0", "num_virtual must be a whole number of at least 1"),
        ("dummy:2.5", "V in label 'dummy:2.5' is not a number; labels of this name are dummy:V"),
        ("dummy:2000000", "num_virtual must be at most 1,000,000"),
        ("z-loss:-1", r"beta must be a number in \[0, 1e\+06\), got -1.0"),
        ("z-loss:nan", r"beta must be a number in \[0, 1e\+06\), got nan"),
        ("focal:-1", r"gamma must be a number in \[0, 1e\+06\), got -1.0"),
        ("focal", "cannot read label 'focal'; labels of this name are focal:GAMMA"),
        ("focal:inf", r"gamma must be a number in \[0, 1e\+06\), got inf"),
        ("flsd-53:3", "flsd-53 takes no value, got 'flsd-53:3'"),
        ("logit-norm:0", r"tau must be a number in \(0, 1e\+06\), got 0.0"),
        ("max-sup:-0.1", r"alpha must be a number in \[0, 1e\+06\), got -0.1"),
        ("mbls:-1", r"margin M must be a number in \[0, 1e\+06\), got -1.0"),
        ("mbls:10:-1", r"weight must be a number in \[0, 1e\+06\), got -1.0"),
        ("mbls:10:0.1:3", "cannot read label 'mbls:10:0.1:3'; labels of this name are mbls:M or mbls:M:WEIGHT"),
        ("confidence-penalty:-1", r"beta must be a number in \[0, 1e\+06\), got -1.0"),
        ("poly:-1.5", r"eps must be a number in \[-1, 1e\+06\), got -1.5"),
        ("focall:2", r"unknown label 'focall:2'; did you mean focal\?"),
        ("logitnorm:1", r"did you mean logit-norm\?"),
    ],
)
def test_bad_values_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_candidates(text)


@pytest.mark.parametrize(
    ("text", "again", "count"), [("focal:auto", "focal:auto", 3), ("mbls:auto", "mbls:auto:0.1", 4),
                                 ("mbls:auto:0.5", "mbls:auto:0.5", 4), ("dummy:auto", "dummy:auto", 4)]
)  # fmt: skip
def test_a_parameter_may_be_left_to_choose(text: str, again: str, count: int) -> None:
    found = parse_candidates(text)
    assert isinstance(found, Candidates)
    assert found.text == again
    assert parse_candidates(again) == found
    texts = [objective.text for objective in found.objectives()]
    assert len(set(texts)) == count
    assert [parse_objective(one) for one in texts] == list(found.objectives())
