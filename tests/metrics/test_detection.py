"""Detection metrics: hand-made scores, scikit-learn and pytorch-ood as references, ties, limits and mistakes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from vsmooth.metrics.detection import (
    DETECTION_METRICS,
    detection_metrics,
    rank_scores,
    threshold_finding,
    threshold_keeping,
)
from vsmooth.metrics.detection import roc_curve as own_curve
from vsmooth.metrics.detection_intervals import detection_intervals, resampled_metrics


def scores(ties: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    inside, outside = generator.normal(size=300), 1.3 + generator.normal(size=170)
    return (inside.round(0), outside.round(0)) if ties else (inside, outside)


def test_by_hand() -> None:
    """Of 4 pairs 3 are in order, one is a tie."""
    found = detection_metrics([1.0, 2.0], [2.0, 3.0])
    assert found["auroc"] == 3.5 / 4
    assert found["fpr95_out"] == 0.5  # to find both, the threshold is 2
    assert found["fpr95_in"] == 0.5
    assert found["detection_error"] == 0.25
    assert found["aupr_out"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["aupr_in"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_95_percent_of_20_is_19() -> None:
    outside = np.arange(20.0)  # the lowest may be missed
    assert detection_metrics([0.5], outside)["fpr95_out"] == 0
    assert detection_metrics([1.0], outside)["fpr95_out"] == 1


def test_perfect_reversed_and_constant_scores() -> None:
    best, worst, same = (
        detection_metrics(*pair) for pair in (([0, 1], [2, 3]), ([2, 3], [0, 1]), ([1] * 6, [1] * 2))
    )
    assert (best["auroc"], best["fpr95_out"], best["aupr_out"], best["detection_error"]) == (1, 0, 1, 0)
    assert (worst["auroc"], worst["fpr95_out"], worst["detection_error"]) == (0, 1, 0.5)
    assert (same["auroc"], same["fpr95_out"], same["fpr95_in"], same["detection_error"]) == (0.5, 1, 1, 0.5)
    assert (same["aupr_out"], same["aupr_in"]) == (0.25, 0.75)  # the share of each kind


@pytest.mark.parametrize("ties", [False, True])
def test_scikit_learn_agrees(ties: bool) -> None:
    inside, outside = scores(ties)
    truth, values = np.repeat([0, 1], [len(inside), len(outside)]), np.concatenate([inside, outside])
    alarms, found, _ = roc_curve(truth, values, drop_intermediate=False)
    expected = {
        "auroc": roc_auc_score(truth, values),
        "aupr_out": average_precision_score(truth, values),
        "aupr_in": average_precision_score(1 - truth, -values),
        "fpr95_out": alarms[found >= 0.95].min(),
        "detection_error": ((1 - found + alarms) / 2).min(),
    }
    other, kept, _ = roc_curve(1 - truth, -values, drop_intermediate=False)
    expected["fpr95_in"] = other[kept >= 0.95].min()
    assert detection_metrics(inside, outside) == pytest.approx(expected, abs=1e-12)
    curve = own_curve(rank_scores(inside, outside))
    np.testing.assert_allclose(curve.found, found)
    np.testing.assert_allclose(curve.false_alarms, alarms)


@pytest.mark.parametrize("ties", [False, True])
def test_pytorch_ood_agrees(ties: bool) -> None:
    reference = pytest.importorskip("pytorch_ood.metrics").OODMetrics()
    inside, outside = scores(ties)
    reference.update(
        torch.from_numpy(np.concatenate([inside, outside])), torch.tensor([0] * len(inside) + [-1] * len(outside))
    )
    expected, found = reference.compute(), detection_metrics(inside, outside)
    for theirs, ours in (("AUROC", "auroc"), ("FPR95TPR", "fpr95_out")):
        assert found[ours] == pytest.approx(float(expected[theirs]), abs=1e-6)
    if not ties:  # its areas under precision and recall are trapezoids, which ties make too large
        assert found["aupr_in"] == pytest.approx(float(expected["AUPR-IN"]), abs=2e-3)
        assert found["aupr_out"] == pytest.approx(float(expected["AUPR-OUT"]), abs=2e-3)


def test_monotone_maps_and_infinite_scores_change_nothing() -> None:
    inside, outside = scores(ties=True)
    plain = detection_metrics(inside, outside)
    assert detection_metrics(np.exp(5 * inside), np.exp(5 * outside)) == plain
    limit = float(max(inside.max(), outside.max()))
    capped = [np.where(values == limit, np.inf, values) for values in (inside, outside)]
    assert detection_metrics(*capped) == plain


def test_thresholds() -> None:
    assert threshold_finding([1.0, 2.0, 3.0, 4.0], 0.75) == 2
    assert threshold_finding([1.0, 1.0, 3.0], 1.0) == 1
    threshold = threshold_keeping([1.0, 2.0, 3.0, 4.0], 0.75)
    assert 3 < threshold < 3 + 1e-9
    inside, outside = scores(ties=False)
    assert (outside >= threshold_finding(outside, 0.95)).mean() >= 0.95
    assert (inside < threshold_keeping(inside, 0.95)).mean() >= 0.95


@pytest.mark.parametrize(
    ("inside", "outside", "message"),
    [
        ([], [1.0], r"scores of images of the classes must be \(N,\) with at least one, got shape \(0,\)"),
        ([1.0], [], "scores of outliers must be"),
        ([1.0], [[1.0]], r"got shape \(1, 1\)"),
        ([1.0, float("nan")], [1.0], "1 of the 2 scores of images of the classes are NaN"),
        ([1.0], [float("nan")] * 3, "3 of the 3 scores of outliers are NaN"),
    ],
)
def test_mistakes(inside: list[float], outside: list[float], message: str) -> None:
    for call in (detection_metrics, detection_intervals):
        with pytest.raises(ValueError, match=message):
            call(inside, outside)
    with pytest.raises(ValueError, match=r"must be above 0 and at most 1, got 1\.5"):
        threshold_finding([1.0], 1.5)


def test_intervals_are_those_of_resampled_scores() -> None:
    """Against scikit-learn on the images themselves, drawn by another generator."""
    inside, outside = scores(ties=True)
    found = detection_intervals(inside, outside, resamples=400)
    assert {name: one.value for name, one in found.items()} == detection_metrics(inside, outside)
    generator, drawn = np.random.default_rng(7), []
    for _ in range(400):
        one, other = generator.choice(inside, len(inside)), generator.choice(outside, len(outside))
        drawn.append(roc_auc_score(np.repeat([0, 1], [300, 170]), np.concatenate([one, other])))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found["auroc"].low, found["auroc"].high) == pytest.approx((low, high), abs=0.008)


def test_without_variation_there_is_no_interval() -> None:
    found = detection_intervals([0.0, 1.0] * 20, [2.0, 3.0] * 20, resamples=50)
    assert found["auroc"].value == 1
    assert np.isnan([found["auroc"].low, found["auroc"].high]).all()
    assert np.isnan(detection_intervals(*scores(ties=False), resamples=50)["detection_error"].low)


def test_networks_on_the_same_images_see_the_same_draws() -> None:
    inside, outside = scores(ties=False)
    one, other = (resampled_metrics(rank_scores(a, b), ["auroc"], 50)["auroc"] for a, b in (
        (inside, outside), (2 * inside + 1, 2 * outside + 1),
    ))
    np.testing.assert_array_equal(one, other)


def test_every_metric_is_listed() -> None:
    assert list(DETECTION_METRICS) == ["auroc", "aupr_out", "aupr_in", "fpr95_out", "fpr95_in", "detection_error"]
