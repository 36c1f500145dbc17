"""Vector scaling: scikit-learn's logistic regression, stationarity, limits, bad input."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import cross_entropy

from vsmooth.metrics import fit_temperature, fit_vector_scaling


def validation(samples: int, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)


def test_known_factors_and_offsets_are_found() -> None:
    logits, labels = validation(50_000)
    scale = torch.tensor([0.5, 1.0, 2.0, 0.8], dtype=torch.float64)
    bias = torch.tensor([0.5, -0.5, 1.0, -1.0], dtype=torch.float64)
    fit = fit_vector_scaling((logits - bias) / scale, labels)
    assert fit.converged
    assert fit.scale.tolist() == pytest.approx(scale.tolist(), rel=0.05)
    assert fit.bias.tolist() == pytest.approx(bias.tolist(), abs=0.05)
    assert torch.allclose(fit.apply((logits - bias) / scale).softmax(1), logits.softmax(1), atol=0.02)


def test_agrees_with_logistic_regression_on_two_classes() -> None:
    logits, labels = validation(600, classes=2)
    logits = 2 * logits + 0.7 * torch.tensor([1.0, -1.0])
    model = LogisticRegression(C=float("inf"), tol=1e-10, max_iter=1000).fit(logits.numpy(), labels.numpy())
    fit = fit_vector_scaling(logits, labels)
    assert [-float(fit.scale[0]), float(fit.scale[1])] == pytest.approx(model.coef_[0].tolist(), rel=1e-3)
    assert float(fit.bias[1] - fit.bias[0]) == pytest.approx(float(model.intercept_[0]), rel=1e-3)


def test_nothing_is_left_to_gain() -> None:
    logits, labels = validation(500)
    logits = 3 * logits
    fit = fit_vector_scaling(logits, labels)
    parameters = torch.stack([fit.scale, fit.bias]).requires_grad_()
    loss = cross_entropy(parameters[0] * logits + parameters[1], labels)
    loss.backward()
    assert parameters.grad is not None
    assert float(parameters.grad.abs().max()) < 1e-5
    assert fit.nll_after == pytest.approx(loss.item())
    assert fit.nll_before == pytest.approx(float(cross_entropy(logits, labels)))
    assert fit.nll_after <= fit_temperature(logits, labels).nll_after
    assert float(fit.bias.sum()) == pytest.approx(0, abs=1e-9)


def test_it_may_change_the_argmax() -> None:
    logits, labels = validation(2000)
    fit = fit_vector_scaling(logits + torch.tensor([2.0, 0.0, 0.0, 0.0]), labels)
    shifted = logits + torch.tensor([2.0, 0.0, 0.0, 0.0])
    assert (fit.apply(shifted).argmax(1) != shifted.argmax(1)).float().mean() > 0.1


def test_separated_classes_are_flagged() -> None:
    logits, _ = validation(200)
    assert not fit_vector_scaling(logits, logits.argmax(1)).converged


def test_bad_input_is_named() -> None:
    logits, labels = validation(50)
    with pytest.raises(ValueError, match="class 2 has no sample, so its offset has no optimum"):
        fit_vector_scaling(logits[labels != 2], labels[labels != 2])
    logits[7, 0] = torch.nan
    with pytest.raises(ValueError, match="logits of sample 7 hold NaN or Inf"):
        fit_vector_scaling(logits, labels)
