"""The record of calibration against the run's own metrics, torch, and fits made by hand on the validation split."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassCalibrationError

from vsmooth.evaluate import Predictions
from vsmooth.experiments.calibration import calibrate_run, evaluate_calibration
from vsmooth.records.calibration import CalibrationRecord, CalibrationSettings, read_calibration
from vsmooth.records.run import read_record

FEW = CalibrationSettings(resamples=40)


@pytest.fixture(scope="module")
def splits() -> tuple[Predictions, Predictions]:
    """Test and validation logits of an over-confident network that has learned something."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(5).repeat(160)
    logits = 3 * (torch.randn(800, 5, generator=generator) + 1.5 * torch.nn.functional.one_hot(labels, 5))
    return Predictions(logits[:500], labels[:500]), Predictions(logits[500:], labels[500:])


@pytest.fixture(scope="module")
def record(splits: tuple[Predictions, Predictions]) -> CalibrationRecord:
    return evaluate_calibration(*splits, normalise=True, settings=CalibrationSettings(bins=20, resamples=40))


def test_a_record_of_the_same_predictions_and_settings_is_read_back(run_of: dict[str, Path]) -> None:
    """So a call over many runs that was interrupted goes on where it stopped."""
    written, file = calibrate_run(run_of["one"], FEW), run_of["one"] / "calibration.json"
    stamp = file.stat().st_mtime_ns
    again = calibrate_run(run_of["one"], FEW)
    assert (again.origin, again.scores["trained"].metrics) == (written.origin, written.scores["trained"].metrics)
    assert file.stat().st_mtime_ns == stamp
    calibrate_run(run_of["one"], CalibrationSettings(resamples=41))
    assert file.stat().st_mtime_ns > stamp
    assert calibrate_run(run_of["vs"], FEW).origin != written.origin


def test_metrics_are_those_of_the_run(run_of: dict[str, Path]) -> None:
    found, metrics = calibrate_run(run_of["one"], FEW), read_record(run_of["one"]).metrics
    for ours, theirs in (
        ("ece", "ece"), ("ece_15", "ece"), ("ece_10", "ece_10"), ("adaptive_ece", "adaptive_ece"),
        ("classwise_ece", "classwise_ece"), ("nll", "nll"), ("brier", "brier"), ("accuracy", "accuracy"),
    ):
        assert found.value(ours) == pytest.approx(metrics[theirs], abs=1e-9)


def test_bins_are_those_asked_for(record: CalibrationRecord, splits: tuple[Predictions, Predictions]) -> None:
    test = splits[0]
    for bins, name in ((20, "ece"), (20, "ece_20"), (15, "ece_15"), (10, "ece_10")):
        expected = MulticlassCalibrationError(5, n_bins=bins)(test.probabilities, test.labels)
        assert record.value(name) == pytest.approx(float(expected), abs=1e-5)
    diagram = record.scores["trained"].diagram
    assert len(diagram.counts) == 20
    assert int(diagram.counts.sum()) == 500


def test_parts_add_up(record: CalibrationRecord) -> None:
    for of in record.scores:
        value = {name: record.value(name, of) for name in record.scores[of].metrics}
        assert value["ece_over"] + value["ece_under"] == pytest.approx(value["ece_20"])
        whole = value["reliability"] - value["resolution"] + value["uncertainty"]
        whole += value["within_bin_variance"] - value["within_bin_covariance"]
        assert whole == pytest.approx(value["brier"])


def test_temperature_is_the_best_of_validation_and_applied_to_test(
    record: CalibrationRecord, splits: tuple[Predictions, Predictions]
) -> None:
    test, validation = splits
    assert record.temperature is not None
    grid = np.exp(np.linspace(-2, 3, 2001))
    losses = [float(cross_entropy(validation.logits.double() / t, validation.labels)) for t in grid]
    assert record.temperature.temperature == pytest.approx(grid[int(np.argmin(losses))], rel=3e-3)
    after = cross_entropy(test.logits.double() / record.temperature.temperature, test.labels)
    assert record.value("nll", "temperature") == pytest.approx(float(after))
    assert record.value("nll", "temperature") < record.value("nll")
    assert record.value("accuracy", "temperature") == record.value("accuracy")


def test_vector_scaling_is_applied_to_test(
    record: CalibrationRecord, splits: tuple[Predictions, Predictions]
) -> None:
    test, _ = splits
    assert record.vector is not None
    scaled = test.logits.double() * record.vector.scale + record.vector.bias
    assert record.value("nll", "vector") == pytest.approx(float(cross_entropy(scaled, test.labels)))
    assert record.value("accuracy", "vector") == pytest.approx(float((scaled.argmax(1) == test.labels).double().mean()))


def test_normalised_takes_the_floor_off(record: CalibrationRecord, splits: tuple[Predictions, Predictions]) -> None:
    table = splits[0].probabilities.numpy()
    floorless = table - table.min(1, keepdims=True)
    floorless /= floorless.sum(1, keepdims=True)
    expected = ((floorless - np.eye(5)[splits[0].labels]) ** 2).sum(1).mean()
    assert record.value("brier", "normalised") == pytest.approx(expected)


def test_without_the_floor_a_right_class_that_came_last_costs_infinitely(
    record: CalibrationRecord, splits: tuple[Predictions, Predictions]
) -> None:
    test = splits[0]
    assert bool((test.logits.argmin(1) == test.labels).any())
    assert record.value("nll", "normalised") == math.inf


def test_only_label_smoothing_is_normalised(run_of: dict[str, Path]) -> None:
    assert {label: "normalised" in calibrate_run(folder, FEW).scores for label, folder in run_of.items()} == {
        "one": False, "ls": True, "vs": False,
    }


def test_a_record_survives_the_disk(run_of: dict[str, Path]) -> None:
    assert read_calibration(run_of["ls"]) is None
    written = calibrate_run(run_of["ls"], FEW)
    found = read_calibration(run_of["ls"])
    assert found is not None
    assert found.settings == FEW
    assert found.temperature == written.temperature
    assert found.scores.keys() == written.scores.keys()
    for of, scores in written.scores.items():
        finite = {name: interval for name, interval in scores.metrics.items() if math.isfinite(interval.value)}
        assert {name: found.scores[of].metrics[name] for name in finite} == finite
        for name in ("counts", "accuracy", "low", "edges"):  # NaN in empty bins
            np.testing.assert_array_equal(getattr(found.scores[of].diagram, name), getattr(scores.diagram, name))
    assert found.vector is not None
    assert written.vector is not None
    assert torch.equal(found.vector.scale, written.vector.scale)
    validation = Predictions.load(run_of["ls"] / "predictions-validation.npz").labels
    assert found.validation_samples == written.validation_samples == len(validation)
    assert found.fewest_of_a_class == int(validation.bincount().min())


def test_a_small_validation_split_is_known(run_of: dict[str, Path]) -> None:
    record = calibrate_run(run_of["ls"], FEW)
    assert record.has_few_samples  # 48 images
    assert not replace(record, validation_samples=100, fewest_of_a_class=10).has_few_samples
    assert replace(record, validation_samples=99, fewest_of_a_class=33).has_few_samples
    assert replace(record, validation_samples=1000, fewest_of_a_class=9).has_few_samples


def test_without_validation_nothing_is_fitted(run_of: dict[str, Path]) -> None:
    (run_of["one"] / "predictions-validation.npz").unlink()
    found = calibrate_run(run_of["one"], FEW)
    assert found.temperature is None
    assert found.scores.keys() == {"trained"}
    assert math.isnan(found.value("ece", "temperature"))


def test_a_temperature_without_optimum_is_not_applied(splits: tuple[Predictions, Predictions]) -> None:
    test = splits[0]
    perfect = Predictions(5.0 * torch.nn.functional.one_hot(test.labels, 5).float(), test.labels)
    found = evaluate_calibration(test, perfect, settings=FEW)
    assert found.temperature is not None
    assert not found.temperature.converged
    assert found.scores.keys() == {"trained"}


def test_a_class_missing_in_validation_leaves_out_vector_scaling(splits: tuple[Predictions, Predictions]) -> None:
    test, validation = splits
    four = validation.labels != 2
    found = evaluate_calibration(test, Predictions(validation.logits[four], validation.labels[four]), settings=FEW)
    assert found.vector is None
    assert found.scores.keys() == {"trained", "temperature"}


def test_validation_of_another_network(splits: tuple[Predictions, Predictions]) -> None:
    other = Predictions(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="validation logits have 3 classes but the test logits 5"):
        evaluate_calibration(splits[0], other)


@pytest.mark.parametrize(("change", "message"), [({"bins": 0}, "bins must be"), ({"level": 1.0}, "level must lie")])
def test_bad_settings(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CalibrationSettings(**change)  # type: ignore[arg-type]


def test_predictions_with_nan(run_of: dict[str, Path], accept: Callable[[Path], None]) -> None:
    path = run_of["vs"] / "predictions-test.npz"
    with np.load(path) as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    logits[7, 1] = np.nan
    np.savez(path, logits=logits, labels=labels)
    accept(path)
    with pytest.raises(ValueError, match=r"predictions-test\.npz: logits of sample 7 hold NaN or Inf"):
        calibrate_run(run_of["vs"], FEW)


def test_a_foreign_record(run_of: dict[str, Path]) -> None:
    (run_of["vs"] / "calibration.json").write_text(json.dumps({"schema": 3, "settings": {"bins": 15}}))
    with pytest.raises(ValueError, match=r"calibration\.json is damaged: .*`vsmooth calibrate` writes it anew"):
        read_calibration(run_of["vs"])
