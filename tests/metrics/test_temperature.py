"""Temperature scaling: a known temperature, scikit-learn's logistic regression, limits, export, bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vsmooth.metrics import TemperatureScaled, accuracy, expected_calibration_error, fit_temperature


def validation(samples: int, classes: int = 5, temperature: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits whose softmax is calibrated once they are divided by `temperature`."""
    generator = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(samples, classes, generator=generator)
    return temperature * logits, torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    fit = fit_temperature(*validation(50_000, temperature=temperature))
    assert fit.temperature == pytest.approx(temperature, rel=0.02)
    assert fit.converged
    assert 0 < fit.iterations < 40


def test_agrees_with_logistic_regression_on_two_classes() -> None:
    logits, labels = validation(500, classes=2, temperature=2)
    logits = logits.double()
    model = LogisticRegression(C=float("inf"), fit_intercept=False, tol=1e-10, max_iter=1000)
    model.fit((logits[:, 1:] - logits[:, :1]).numpy(), labels.numpy())
    assert 1 / fit_temperature(logits, labels).temperature == pytest.approx(float(model.coef_[0, 0]), rel=1e-5)


def test_the_slope_of_the_nll_is_zero_and_both_losses_are_those_of_torch() -> None:
    logits, labels = validation(400, temperature=2.5)
    fit = fit_temperature(logits, labels)
    temperature = torch.tensor(fit.temperature, dtype=torch.float64, requires_grad=True)
    loss = cross_entropy(logits.double() / temperature, labels)
    loss.backward()
    assert temperature.grad is not None
    assert float(temperature.grad) == pytest.approx(0, abs=1e-8)
    assert fit.nll_after == pytest.approx(loss.item(), rel=1e-13)
    assert fit.nll_before == pytest.approx(float(cross_entropy(logits.double(), labels)), rel=1e-13)
    assert fit.nll_after < fit.nll_before


def test_the_unit_of_the_logits_does_not_matter() -> None:
    logits, labels = validation(300)
    base = fit_temperature(logits, labels)
    for factor in (0.01, 1000.0):
        scaled = fit_temperature(factor * logits, labels)
        assert scaled.temperature == pytest.approx(factor * base.temperature, rel=1e-4)
        assert scaled.nll_after == pytest.approx(base.nll_after)
    assert fit_temperature(logits + 100, labels).temperature == pytest.approx(base.temperature, rel=1e-3)


def test_half_precision_logits_are_fitted_in_float64() -> None:
    logits, labels = validation(300)
    expected = fit_temperature(logits.bfloat16().double(), labels)
    assert fit_temperature(logits.bfloat16(), labels) == expected


def test_scaling_mends_the_ece_of_another_sample_and_keeps_the_argmax() -> None:
    fit = fit_temperature(*validation(5000, temperature=3))
    logits, labels = validation(20_000, temperature=3, seed=1)
    scaled = logits / fit.temperature
    assert (scaled.argmax(1) == logits.argmax(1)).all()
    before, after = logits.double().softmax(1), scaled.double().softmax(1)
    assert expected_calibration_error(after, labels) < 0.1 * expected_calibration_error(before, labels)
    assert accuracy(after, labels) == accuracy(before, labels)


def test_an_optimum_that_does_not_exist_is_flagged() -> None:
    logits, _ = validation(100)
    separated = fit_temperature(logits, logits.argmax(1))
    assert not separated.converged
    assert separated.temperature == 1e-4
    clearly_separated = fit_temperature(5 * torch.eye(3), torch.arange(3))  # its slope underflows to 0
    assert not clearly_separated.converged
    misleading = fit_temperature(logits, logits.argmin(1))
    assert not misleading.converged
    assert misleading.temperature == 1e4


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 1.3, -2.9, 1e6])
def test_equal_logits_have_no_temperature(value: float) -> None:
    # Whichever way the mean of equal numbers is rounded.
    for classes in (3, 7, 10):
        assert not fit_temperature(torch.full((4, classes), value), torch.tensor([0, 1, 2, 0])).converged


def test_one_wrong_sample_is_enough_for_an_optimum() -> None:
    logits, _ = validation(1000)
    labels = logits.argmax(1)
    labels[0] = logits[0].argmin()
    fit = fit_temperature(logits, labels)
    assert fit.converged
    assert 0 < fit.temperature < 1


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite_are_named(value: float) -> None:
    logits, labels = validation(10)
    logits[3, 1] = value
    with pytest.raises(ValueError, match="logits of sample 3 hold NaN or Inf"):
        fit_temperature(logits, labels)


def test_bad_shapes_are_named() -> None:
    logits, labels = validation(10)
    with pytest.raises(ValueError, match=r"K >= 2, got \(10, 1\)"):
        fit_temperature(logits[:, :1], labels)
    with pytest.raises(ValueError, match=r"N >= 1 and K >= 2, got \(0, 5\)"):
        fit_temperature(logits[:0], labels[:0])
    with pytest.raises(ValueError, match=r"floating point .* of torch.int64"):
        fit_temperature(logits.long(), labels)
    with pytest.raises(ValueError, match=r"label 5 at index 2 is outside 0\.\.4"):
        fit_temperature(logits, torch.tensor([0, 1, 5, *[0] * 7]))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).eval()


def test_scaled_model_divides_the_logits() -> None:
    model, images = network(), torch.rand(6, 3, 2, 2)
    assert torch.equal(TemperatureScaled(model, 1.0)(images), model(images))
    assert torch.allclose(TemperatureScaled(model, 2.5)(images), model(images) / 2.5)


def test_temperature_travels_with_the_weights(tmp_path: Path) -> None:
    scaled = TemperatureScaled(network(), 1.75)
    save_file(scaled.state_dict(), tmp_path / "model.safetensors")
    loaded = TemperatureScaled(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), 1.0)
    loaded.load_state_dict(load_file(tmp_path / "model.safetensors"))
    images = torch.rand(2, 3, 2, 2)
    assert float(loaded.temperature) == 1.75
    assert torch.equal(loaded(images), scaled(images))
    assert [name for name, _ in scaled.named_parameters()] == ["model.1.weight", "model.1.bias"]


def test_scaled_model_exports_and_keeps_the_dtype() -> None:
    scaled, images = TemperatureScaled(network(), 1.75), torch.rand(2, 3, 2, 2)
    exported = torch.export.export(scaled, (images,)).module()
    assert torch.equal(exported(images), scaled(images))
    assert scaled.bfloat16()(images.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperatures_that_are_none_are_named(temperature: float) -> None:
    with pytest.raises(ValueError, match=f"must be positive and finite, got {temperature}"):
        TemperatureScaled(network(), temperature)
