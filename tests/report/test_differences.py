from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from record_builders import objective_of, variant

from vsmooth.digests import digest_of
from vsmooth.records.comparison import Comparison
from vsmooth.records.outcomes import outcomes


@pytest.mark.parametrize("metric", ["accuracy", "ece", "nll"])
def test_one_seed_falls_back_to_test_images(make_comparison: Callable[..., Comparison], metric: str) -> None:
    comparison = make_comparison(seeds=1)
    one_hot, smoothed = comparison.groups[:2]
    found = comparison.differences.from_baseline(smoothed, metric)
    assert found is not None
    assert found.source == "test samples"
    assert found.low is not None
    # The bootstrap's difference comes from the predictions, the other one from the recorded metrics.
    assert found.mean == pytest.approx(smoothed.runs[0].value(metric) - one_hot.runs[0].value(metric))


def test_two_numbers_of_virtual_classes_are_two_rows(make_comparison: Callable[..., Comparison]) -> None:
    comparison = make_comparison(seeds=1)
    one_hot, _, small, large = comparison.runs
    wide = replace(small, variant=variant(objective_of("virtual-smoothing", 0.5, 30, 10)))
    both = replace(comparison, runs=(one_hot, wide, large))
    for run, group in zip((wide, large), both.groups[1:], strict=True):
        alone = replace(comparison, runs=(one_hot, run))
        expected = alone.differences.from_baseline(alone.groups[1], "ece")
        found = both.differences.from_baseline(group, "ece")
        assert found is not None
        assert expected is not None
        assert (found.mean, found.variations) == (expected.mean, expected.variations)
        assert (found.comparisons, expected.comparisons) == (6, 3)
    assert [group.name for group in both.groups] == ["one-hot", "VS 0.5 V=30", "VS 0.5"]


def test_several_seeds_use_seeds(comparison: Comparison) -> None:
    found = comparison.differences.from_baseline(comparison.groups[1], "ece")
    assert found is not None
    assert found.source == "seeds"
    assert found.seeds == 3


def test_different_test_images_are_refused(make_comparison: Callable[..., Comparison]) -> None:
    comparison = make_comparison(seeds=1)
    path = comparison.directory / comparison.runs[1].folder / "predictions-test.npz"
    logits, labels = comparison.predictions(comparison.runs[1])
    np.savez(path, logits=logits, labels=labels[::-1])
    first, other, *rest = comparison.runs
    other = replace(other, digests={path.name: digest_of(path)})
    changed = replace(comparison, runs=(first, other, *rest))
    with pytest.raises(ValueError, match="different test images"):
        changed.differences.from_baseline(changed.groups[1], "accuracy")


def test_several_seeds_also_carry_the_noise_of_the_test_images(comparison: Comparison) -> None:
    one_hot, smoothed = comparison.groups[:2]
    found = comparison.differences.from_baseline(smoothed, "accuracy")
    assert found is not None
    seeds, images = found.variations
    right = [
        np.mean([outcomes(*comparison.predictions(run)).correct for run in group.runs], axis=0)
        for group in (smoothed, one_hot)
    ]
    moved = right[0] - right[1]
    # The standard error of a mean over the images; 500 resamples know it to 3 %.
    assert images.error == pytest.approx(moved.std() / len(moved) ** 0.5, rel=0.1)
    assert images.centre == pytest.approx(moved.mean(), abs=0.2 * images.error)
    assert found.low == min(seeds.bounds(0.95)[0], images.bounds(0.95)[0])


def test_a_seed_without_the_metric_is_left_out(make_comparison: Callable[..., Comparison]) -> None:
    comparison = make_comparison(seeds=2)
    runs = list(comparison.runs)
    runs[3] = replace(runs[3], metrics={"accuracy": 0.8})
    partial = replace(comparison, runs=tuple(runs))
    found = partial.differences.from_baseline(partial.groups[1], "nll")
    assert found is not None
    assert (found.seeds, found.source) == (1, "test samples")
    both = partial.differences.from_baseline(partial.groups[1], "accuracy")
    assert both is not None
    assert both.seeds == 2
