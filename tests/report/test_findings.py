from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from outcome_builders import MadeUp
from record_builders import run_record

from vsmooth.records.comparison import Comparison
from vsmooth.report.comparison.findings import Claim, claims, findings

Scores = list[tuple[float, float, float]]  # accuracy, ECE, mean confidence per seed


def simple(groups: dict[tuple[str, float], Scores]) -> Comparison:
    runs = tuple(
        run_record(label, alpha, 0, seed, "d", "m", 1, 1, 2,
                   {"accuracy": accuracy, "ece": ece, "mean_confidence": confidence}, 1.0, 1.0, (),
                   f"{label}-{alpha:g}-{seed}")
        for (label, alpha), scores in groups.items()
        for seed, (accuracy, ece, confidence) in enumerate(scores)
    )
    return MadeUp(runs, "c", {}, ("a", "b"), Path("."))


ONE_HOT: Scores = [(0.880, 0.030, 0.91), (0.882, 0.031, 0.912), (0.881, 0.030, 0.911)]


def test_gain_is_said() -> None:
    better: Scores = [(0.890, 0.010, 0.89), (0.892, 0.012, 0.892), (0.890, 0.011, 0.891)]
    first, second = findings(simple({("one-hot", 0): ONE_HOT, ("virtual-smoothing", 0.3): better}))
    assert first == "One-hot reaches 88.10 % accuracy with an ECE of 0.030, over-confident by 3.0 points."
    change = "+0.97 points (95 % CI +0.68 to +1.26, 3 seeds)"
    assert second.startswith(f"VS 0.3 changes accuracy by {change}: better than one-hot.")
    assert "Its ECE falls from 0.030 to 0.011 (-0.019; 95 % CI" in second
    assert "better calibrated." in second
    assert "about as confident as it is accurate" in second
    assert "Why" not in second


def test_loss_is_said_and_explained() -> None:
    worse: Scores = [(0.870, 0.060, 0.81), (0.873, 0.061, 0.812), (0.871, 0.059, 0.811)]
    comparison = simple({("one-hot", 0): ONE_HOT, ("virtual-smoothing", 0.5): worse})
    text = findings(comparison)[1]
    for words in ("worse than one-hot", "worse calibrated", "under-confident by 6.0 points",
                  "powerful enough for its data", "lower still", "smaller alpha", "not tested here"):
        assert words in text
    assert [claim.outcome for claim in claims(comparison)] == ["does not hold", "does not hold", "not tested"]


def test_unclear_difference_is_not_called_a_gain() -> None:
    unclear: Scores = [(0.89, 0.020, 0.9), (0.875, 0.040, 0.9), (0.884, 0.031, 0.9)]
    comparison = simple({("one-hot", 0): ONE_HOT, ("virtual-smoothing", 0.3): unclear})
    text = findings(comparison)[1]
    assert text.count("not distinguishable from one-hot") == 2
    assert "better" not in text
    assert claims(comparison)[0].verdict == "not distinguishable with 3 seeds"


def accuracy_claim(values: tuple[float, ...]) -> Claim:
    """The first claim, where one-hot has .880, .882 and .881."""
    scores: Scores = [(value, 0.030, 0.9) for value in values]
    return claims(simple({("one-hot", 0): ONE_HOT, ("virtual-smoothing", 0.3): scores}))[0]


def test_at_least_as_accurate_means_less_than_half_a_point_below() -> None:
    equal = accuracy_claim((0.8799, 0.882, 0.8812))
    assert (equal.outcome, equal.verdict) == ("holds", "holds")
    assert "(less than 0.50 points below)" in equal.text
    assert accuracy_claim((0.8709, 0.872, 0.8712)).outcome == "does not hold"
    assert accuracy_claim((0.88, 0.884, 0.876)).outcome == "not distinguishable"  # -0.50 is within its interval


def test_the_same_difference_in_each_seed_is_not_certainty() -> None:
    # 1 of 4,000 images more in both seeds, to the last digit: a spread of 0.
    tied: Scores = [(0.75025, 0.030, 0.9), (0.75025, 0.030, 0.9)]
    plain: Scores = [(0.75, 0.030, 0.9), (0.75, 0.030, 0.9)]
    text = findings(simple({("one-hot", 0): plain, ("virtual-smoothing", 0.3): tied}))[1]
    assert "not distinguishable from one-hot" in text
    assert "95 % CI -0.0" in text


def test_verdicts_are_corrected_for_the_other_labels() -> None:
    clear: Scores = [(0.8868, 0.03, 0.9), (0.8880, 0.031, 0.9), (0.8880, 0.030, 0.9)]
    alone = simple({("one-hot", 0): ONE_HOT, ("virtual-smoothing", 0.3): clear})
    assert "better than one-hot" in findings(alone)[1]
    unclear: Scores = [(0.89, 0.020, 0.9), (0.875, 0.040, 0.9), (0.884, 0.031, 0.9)]
    others = {("virtual-smoothing", alpha / 10): unclear for alpha in range(4, 20)}
    among = simple({("one-hot", 0): ONE_HOT, ("virtual-smoothing", 0.3): clear, **others})
    assert "not distinguishable from one-hot once corrected for 34 comparisons" in findings(among)[1]
    assert claims(among)[0].outcome == "holds"


def test_levels_are_of_the_seeds_that_the_difference_is_of() -> None:
    smoothed: Scores = [(0.885, 0.010, 0.9), (0.886, 0.011, 0.9)]
    text = findings(simple({("one-hot", 0): [*ONE_HOT[:2], (0.5, 0.9, 0.9)], ("virtual-smoothing", 0.3): smoothed}))[1]
    assert "Its ECE falls from 0.030 to 0.010 (-0.020;" in text or "Its ECE falls from 0.030 to 0.011 (-0.020;" in text


def test_label_smoothing_claim() -> None:
    smoothed: Scores = [(0.885, 0.30, 0.58), (0.886, 0.31, 0.58), (0.884, 0.30, 0.58)]
    comparison = simple({("one-hot", 0): ONE_HOT, ("label-smoothing", 0.4): smoothed})
    *_, last = claims(comparison)
    assert (last.label, last.outcome) == ("LS 0.4", "holds")
    assert "targets give the right class about 0.6" in findings(comparison)[1]
    small = simple({("one-hot", 0): ONE_HOT, ("label-smoothing", 0.1): smoothed})
    assert claims(small)[-1].outcome == "not tested"


def test_without_one_hot() -> None:
    comparison = simple({("virtual-smoothing", 0.3): ONE_HOT})
    assert findings(comparison) == (
        "No one-hot network was trained, so nothing can be said about gains or losses.",
    )
    assert {claim.outcome for claim in claims(comparison)} == {"not tested"}


def test_without_a_shared_seed() -> None:
    comparison = simple({("one-hot", 0): ONE_HOT[:1], ("virtual-smoothing", 0.3): ONE_HOT[:2]})
    apart = Comparison((comparison.runs[0], comparison.runs[2]), "c", {}, ("a", "b"))
    assert findings(apart)[1] == "VS 0.3 shares no seed with one-hot, so the two cannot be compared."


@pytest.mark.parametrize("words", ["another seed may differ by more", "95 % CI over test images", "1 seed"])
def test_one_seed_is_never_passed_off_as_more(make_comparison: Callable[..., Comparison], words: str) -> None:
    comparison = make_comparison(seeds=1)
    assert words in " ".join(findings(comparison))
    assert all("one seed" in claim.verdict or "1 seed" in claim.verdict for claim in claims(comparison))
