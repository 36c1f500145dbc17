"""Shares of the virtual classes that are redrawn for each sample and step, against torch on the drawn labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vsmooth import (
    NoisyUniform,
    RandomIntegers,
    RedrawnShares,
    SmoothedCrossEntropy,
    VirtualSmoothing,
    smoothed_cross_entropy,
)

K, V, ROWS, ALPHA = 4, 3, 6, 0.3
KINDS = [NoisyUniform(), NoisyUniform(0.01), RandomIntegers()]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=repr)


def drawn(
    scheme: VirtualSmoothing, targets: Tensor, num_classes: int = K, dtype: torch.dtype = torch.float64
) -> Tensor:
    """The labels of the seed, one by one: the definition."""
    torch.manual_seed(1)
    soft = F.one_hot(targets, num_classes).to(dtype) if not targets.is_floating_point() else targets.to(dtype)
    return scheme.encode(soft, num_classes)


def seeded_loss(logits: Tensor, targets: Tensor, scheme: VirtualSmoothing, **options: Any) -> Tensor:
    torch.manual_seed(1)
    return smoothed_cross_entropy(logits, targets, scheme, K, **options)


@every_kind
def test_labels_are_distributions_that_differ_between_samples_and_steps(kind: RedrawnShares) -> None:
    scheme = VirtualSmoothing(ALPHA, V, distribution=kind)
    targets = torch.zeros(ROWS, dtype=torch.long)
    first, again, second = drawn(scheme, targets), drawn(scheme, targets), scheme.encode(torch.eye(K)[targets], K)
    assert torch.equal(first, again)
    torch.testing.assert_close(first.sum(1), torch.ones(ROWS, dtype=torch.float64))
    torch.testing.assert_close(first[:, 0], torch.full((ROWS,), 1 - ALPHA, dtype=torch.float64))
    assert len({tuple(row) for row in first[:, K:].tolist()}) == ROWS
    assert not torch.equal(first.float(), second)


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.5])
def test_noise_stays_within_its_bounds_and_fills_them(noise: float) -> None:
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    shares = NoisyUniform(noise).draw(20_000, 10, torch.float64, cpu) * 10
    ratio = shares.amax(1) / shares.amin(1)
    assert ratio.max() <= (1 + noise) / (1 - noise)
    assert ratio.max() > 1 + 1.8 * noise
    assert shares.mean(0).sub(1).abs().max() < 0.02 * noise


def test_integers_are_uniform_from_one() -> None:
    torch.manual_seed(0)
    shares = RandomIntegers(2).draw(20_000, 2, torch.float64, torch.device("cpu"))[:, 0]
    found = [(shares.sub(value).abs() < 1e-9).double().mean().item() for value in (1 / 3, 1 / 2, 2 / 3)]
    assert found == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


@every_kind
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("targets", [torch.arange(ROWS) % K, torch.full((ROWS, K), 1 / K)], ids=["index", "soft"])
def test_the_loss_is_torchs_on_the_drawn_labels(kind: RedrawnShares, reduction: str, targets: Tensor) -> None:
    scheme = VirtualSmoothing(ALPHA, V, distribution=kind)
    logits = torch.randn(ROWS, K + V, dtype=torch.float64, requires_grad=True)
    targets = targets.double() if targets.is_floating_point() else targets
    loss = seeded_loss(logits, targets, scheme, reduction=reduction)
    expected = F.cross_entropy(logits, drawn(scheme, targets), reduction=reduction)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), logits)[0] for value in (loss, expected)))


@every_kind
def test_many_rows_are_computed_in_blocks_with_their_own_shares(kind: RedrawnShares) -> None:
    rows, num_classes = 1100, 1000  # more than one block of 2**20 logits
    scheme = VirtualSmoothing(ALPHA, distribution=kind)
    logits = torch.randn(rows, 2 * num_classes, requires_grad=True)
    targets = torch.arange(rows) % num_classes
    torch.manual_seed(1)
    loss = smoothed_cross_entropy(logits, targets, scheme, num_classes)
    expected = F.cross_entropy(logits, drawn(scheme, targets, num_classes, torch.float32))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (loss, expected)))


@every_kind
@pytest.mark.parametrize("weight", [torch.rand(K) + 0.5, torch.rand(K + V) + 0.5], ids=["K", "K + V"])
def test_gradcheck_with_and_without_weights(kind: RedrawnShares, weight: Tensor) -> None:
    scheme = VirtualSmoothing(ALPHA, V, distribution=kind)
    logits = torch.randn(ROWS, K + V, dtype=torch.float64, requires_grad=True)
    targets = torch.arange(ROWS) % K
    for given in (None, weight.double()):
        assert torch.autograd.gradcheck(lambda z, w=given: seeded_loss(z, targets, scheme, weight=w), logits)


@every_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_logits_get_shares_and_loss_in_float32(kind: RedrawnShares, dtype: torch.dtype) -> None:
    scheme = VirtualSmoothing(ALPHA, V, distribution=kind)
    logits = torch.randn(ROWS, K + V).to(dtype).requires_grad_()
    targets = torch.arange(ROWS) % K
    loss = seeded_loss(logits, targets, scheme)
    assert loss.dtype == torch.float32
    expected = F.cross_entropy(logits.float(), drawn(scheme, targets, dtype=torch.float32))
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.dtype == dtype


@every_kind
def test_it_compiles_into_one_graph(kind: RedrawnShares) -> None:
    torch.compiler.reset()
    loss_of = SmoothedCrossEntropy(VirtualSmoothing(ALPHA, V, distribution=kind), K)
    logits, targets = torch.randn(ROWS, K + V, requires_grad=True), torch.arange(ROWS) % K
    compiled = torch.compile(loss_of, fullgraph=True, backend="aot_eager")
    results = []
    for call in (loss_of, compiled):
        torch.manual_seed(1)
        loss = call(logits, targets)
        results.append((loss, *torch.autograd.grad(loss, logits)))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("kind", [NoisyUniform(0), RandomIntegers(1)], ids=repr)
def test_without_noise_it_is_the_uniform_label(kind: RedrawnShares) -> None:
    logits, targets = torch.randn(ROWS, 2 * K), torch.arange(ROWS) % K
    found = smoothed_cross_entropy(logits, targets, VirtualSmoothing(ALPHA, distribution=kind), K)
    torch.testing.assert_close(found, smoothed_cross_entropy(logits, targets, VirtualSmoothing(ALPHA), K))


def test_uniform_and_fixed_shares_draw_nothing() -> None:
    logits, targets = torch.randn(ROWS, K + V), torch.arange(ROWS) % K
    before = torch.get_rng_state()
    for shares in (None, (0.2, 0.3, 0.5)):
        smoothed_cross_entropy(logits, targets, VirtualSmoothing(ALPHA, V, shares), K)
        smoothed_cross_entropy(logits.bfloat16(), targets, VirtualSmoothing(ALPHA, V, shares), K)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoisyUniform(1.0), r"noise must be in \[0, 1\), a part of the share 1 / V, got 1\.0"),
        (lambda: NoisyUniform(-0.1), r"noise must be in \[0, 1\)"),
        (lambda: NoisyUniform(float("nan")), r"noise must be in \[0, 1\)"),
        (lambda: RandomIntegers(0), "largest must be a whole number of at least 1, got 0"),
        (lambda: RandomIntegers(2.5), "largest must be a whole number"),
    ],
)
def test_values_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_kind
def test_on_a_gpu_its_generator_draws(kind: RedrawnShares) -> None:
    logits, targets = torch.randn(ROWS, K + V, device="cuda"), torch.arange(ROWS, device="cuda") % K
    scheme = VirtualSmoothing(ALPHA, V, distribution=kind)
    before = torch.get_rng_state()
    torch.cuda.manual_seed(1)
    first = smoothed_cross_entropy(logits, targets, scheme, K)
    assert torch.equal(torch.get_rng_state(), before)
    torch.cuda.manual_seed(1)
    labels = scheme.encode(F.one_hot(targets, K).float(), K)
    torch.testing.assert_close(first, F.cross_entropy(logits, labels))
