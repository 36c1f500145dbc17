"""Similarity of whole runs: values from their parts, what made-up labels erase, pairing, bad input."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vsmooth.evaluate import Features, cka_matrix, evaluate_similarity
from vsmooth.metrics import (
    cluster_shape,
    distance_variation,
    excludes_zero,
    human_divergence,
    image_rank_correlation,
    linear_cka,
    wrong_logit_spread,
)

CLASSES = 5
# Which classes are alike, as people see it: 0 with 1, 2 with 3, 4 with none.
ALIKE = torch.tensor([
    [0.0, 3, 0.3, 0.2, 0.1], [3, 0, 0.2, 0.1, 0.3], [0.3, 0.2, 0, 2.5, 0.4], [0.2, 0.1, 2.5, 0, 0.3],
    [0.1, 0.3, 0.4, 0.3, 0],
])


def made_up(kept: float, samples: int = 200) -> Features:
    """Logits that lead by 4 and keep a share of what makes classes alike; activations that give them exactly."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(samples) % CLASSES
    activations = 4 * torch.eye(CLASSES)[labels] + kept * ALIKE[labels]
    activations += 0.4 * kept * torch.randn(samples, CLASSES, generator=generator)
    rows = torch.eye(CLASSES)
    return Features(activations, activations.clone(), labels, rows, torch.zeros(CLASSES), torch.zeros(0, CLASSES))


def people(features: Features) -> Tensor:
    weights = 40 * torch.eye(CLASSES)[features.labels] + 4 * ALIKE[features.labels]
    generator = torch.Generator().manual_seed(1)
    return (weights + torch.rand(weights.shape, generator=generator)).round()


def test_values_are_those_of_the_parts() -> None:
    features = made_up(0.8)
    votes = people(features)
    found = evaluate_similarity(features, votes, resamples=40).values
    spread = wrong_logit_spread(features.logits, features.labels)
    shape = cluster_shape(features.activations, features.labels, CLASSES)
    expected = {
        "spread": spread.relative,
        "spread_within": spread.within / spread.gap,
        "spread_across": spread.across / spread.gap,
        "distance_variation": shape.distance_variation,
        "cluster_spread": shape.spread,
        "human_kl": float(human_divergence(features.logits, votes).mean()),
        "human_image_rank": float(image_rank_correlation(features.logits, votes, features.labels).nanmean()),
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert set(found) - set(expected) == {"human_pair_rank", "human_template_rank"}
    assert all(-1 <= found[key] <= 1 for key in ("human_pair_rank", "human_template_rank"))


def test_a_label_that_erases_is_told_from_one_that_keeps() -> None:
    baseline, erasing = made_up(0.8), made_up(0.1)
    votes = people(baseline)
    found = evaluate_similarity(erasing, votes, baseline, resamples=60).differences
    for key in ("spread", "spread_across", "distance_variation"):
        assert excludes_zero(found[key])
        assert found[key].value < 0
    same = evaluate_similarity(baseline, votes, baseline, resamples=40).differences
    assert all((interval.low, interval.value, interval.high) == (0, 0, 0) for interval in same.values())


def test_without_human_labels_and_baseline() -> None:
    found = evaluate_similarity(made_up(0.8), resamples=40)
    assert not any(key.startswith("human") for key in found.values)
    assert found.differences == {}
    assert found.images_with_human_errors is None
    assert found.template_variation == pytest.approx(distance_variation(made_up(0.8).real_templates))
    assert found.samples == 200


def test_images_on_which_people_erred_are_counted() -> None:
    features = made_up(0.8)
    votes = 50 * torch.eye(CLASSES)[features.labels]
    votes[:7, 0] += 1  # seven more votes for class 0, an error where it is not the class
    errors = int((features.labels[:7] != 0).sum())
    assert evaluate_similarity(features, votes, resamples=40).images_with_human_errors == errors


def test_cka_between_runs() -> None:
    runs = [made_up(0.8), made_up(0.2), made_up(0.5)]
    found = cka_matrix(runs)
    assert torch.equal(found, found.T)
    assert found.diagonal().tolist() == [1, 1, 1]
    assert float(found[0, 2]) == pytest.approx(linear_cka(runs[0].activations, runs[2].activations))


def test_bad_input_is_named() -> None:
    features = made_up(0.8)
    other = replace(features, labels=features.labels.flip(0))
    with pytest.raises(ValueError, match="the baseline's labels are not those of the features"):
        evaluate_similarity(features, baseline=other)
    with pytest.raises(ValueError, match="runs 0 and 1 hold different samples"):
        cka_matrix([features, other])
    with pytest.raises(ValueError, match=r"agree with the labels of 0 % of the images, less than 50 %: row i must be"):
        evaluate_similarity(features, people(features).roll(1, 0), resamples=40)
    with pytest.raises(ValueError, match=r"human labels are \(199, 5\) but the predictions are \(200, 5\)"):
        evaluate_similarity(features, people(features)[1:])
    two = Features(
        torch.randn(6, 4), torch.randn(6, 2), torch.arange(6) % 2, torch.randn(2, 4), torch.zeros(2), torch.zeros(0, 4)
    )
    with pytest.raises(ValueError, match=r"logits have 2 class\(es\); this needs at least 3"):
        evaluate_similarity(two)
