"""Sentences that say what the records show, for the method or against it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.statistics import PairedDifference
from vsmooth.report.comparison.differences import difference_from_one_hot
from vsmooth.report.comparison.tables import ACCURACY, CALIBRATED, ECE, Metric, confidence_gap, confidence_words

LARGE_ALPHA = 0.3  # from here on LS is worse calibrated than one-hot in every row of the paper's Table 4
Outcome = Literal["holds", "does not hold", "not distinguishable", "not tested"]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, the label it was checked on, the outcome and the numbers behind it."""

    text: str
    label: str
    outcome: Outcome
    verdict: str
    evidence: str


def findings(comparison: Comparison) -> tuple[str, ...]:
    """A text about one-hot, then one per label: its accuracy, its calibration and what explains them."""
    baseline = comparison.baseline
    if baseline is None:
        return ("No one-hot network was trained, so nothing can be said about gains or losses.",)
    others = [group for group in comparison.groups if group is not baseline]
    return (_baseline_sentence(baseline), *(_group_text(comparison, baseline, group) for group in others))


def claims(comparison: Comparison) -> tuple[Claim, ...]:
    """The paper's claims on accuracy and calibration (Sec. 4.1), checked on every label they speak about."""
    virtual = [group for group in comparison.groups if group.label == "virtual-smoothing"]
    smoothed = [g for g in comparison.groups if g.label == "label-smoothing" and g.alpha >= LARGE_ALPHA]
    checks = (
        ("Virtual smoothing is at least as accurate as one-hot", virtual, ACCURACY, +1, "VS"),
        ("Virtual smoothing is better calibrated than one-hot", virtual, ECE, -1, "VS"),
        ("Label smoothing with a large alpha is worse calibrated than one-hot", smoothed, ECE, +1,
         f"LS with alpha ≥ {LARGE_ALPHA:g}"),
    )
    found = []
    for text, groups, metric, sign, wanted in checks:
        found += [_check(comparison, text, group, metric, sign) for group in groups]
        if not groups:
            found.append(Claim(text, wanted, "not tested", "not tested", f"no {wanted} in this comparison"))
    return tuple(found)


def _check(comparison: Comparison, text: str, group: Group, metric: Metric, sign: int) -> Claim:
    difference = difference_from_one_hot(comparison, group, metric.key)
    if difference is None:
        return Claim(text, group.name, "not tested", "not tested", "no one-hot network with the same seed")
    return judge(text, group.name, metric, difference, sign)


def judge(text: str, label: str, metric: Metric, difference: PairedDifference, sign: int) -> Claim:
    """A claim that the difference has this sign, and what its interval says of it."""
    evidence = f"{metric_change(metric, difference)} ({interval_words(metric, difference)})"
    if not difference.distinguishable:
        verdict = f"not distinguishable with {_seeds(difference)}"
        return Claim(text, label, "not distinguishable", verdict, evidence)
    outcome: Outcome = "holds" if difference.mean * sign > 0 else "does not hold"
    limit = "" if difference.source == "seeds" else " for this one seed"
    return Claim(text, label, outcome, outcome + limit, evidence)


def metric_change(metric: Metric, difference: PairedDifference) -> str:
    """"+0.40 points" or "ECE -0.034"."""
    change = metric.signed(difference.mean)
    return f"{change} points" if metric is ACCURACY else f"{metric.title} {change}"


def interval_words(metric: Metric, difference: PairedDifference) -> str:
    """"95 % CI -0.20 to +1.00, 3 seeds", or why there is no interval."""
    if difference.low is None or difference.high is None:
        return f"{_seeds(difference)}, so no confidence interval"
    bounds = f"{metric.signed(difference.low)} to {metric.signed(difference.high)}"
    if difference.source == "seeds":
        return f"95 % CI {bounds}, {_seeds(difference)}"
    return f"95 % CI over test images {bounds}, {_seeds(difference)}"


def gap_words(gap: float) -> str:
    """"over-confident by 4.1 points", or that confidence fits accuracy."""
    if abs(gap) < CALIBRATED:
        return "about as confident as it is accurate"
    return f"{confidence_words(gap)} by {abs(gap) * 100:.1f} points"


def _baseline_sentence(baseline: Group) -> str:
    accuracy, ece = baseline.summary("accuracy"), baseline.summary("ece")
    if accuracy is None or ece is None:
        return "The one-hot records hold no accuracy or no ECE."
    gap = confidence_gap(baseline)
    state = "" if math.isnan(gap) else f", {gap_words(gap)}"
    caution = "" if len(baseline.runs) > 1 else (
        " There is one seed, so intervals are a bootstrap over the test images: another seed may differ "
        "by more.")
    level = f"{accuracy.mean * 100:.2f} % accuracy with an ECE of {ece.mean:.3f}"
    return f"One-hot reaches {level}{state}.{caution}"


def _group_text(comparison: Comparison, baseline: Group, group: Group) -> str:
    accuracy, ece = (difference_from_one_hot(comparison, group, metric.key) for metric in (ACCURACY, ECE))
    sentences = [
        "" if accuracy is None else _accuracy_sentence(group, accuracy),
        "" if ece is None else _ece_sentence(baseline, group, ece),
        _reason(baseline, group, accuracy, ece),
    ]
    if not any(sentences):
        return f"{group.name} shares no seed with one-hot, so the two cannot be compared."
    return " ".join(sentence for sentence in sentences if sentence)


def _accuracy_sentence(group: Group, difference: PairedDifference) -> str:
    numbers = f"{metric_change(ACCURACY, difference)} ({interval_words(ACCURACY, difference)})"
    verdict = _verdict(difference, "better than one-hot", "worse than one-hot", better=+1)
    return f"{group.name} changes accuracy by {numbers}: {verdict}."


def _ece_sentence(baseline: Group, group: Group, difference: PairedDifference) -> str:
    before, after = baseline.summary("ece"), group.summary("ece")
    levels = f" from {before.mean:.3f} to {after.mean:.3f}" if before and after else ""
    verb = "rises" if difference.mean > 0 else "falls"
    change = f"{ECE.signed(difference.mean)}; {interval_words(ECE, difference)}"
    verdict = _verdict(difference, "better calibrated", "worse calibrated", better=-1)
    gap = confidence_gap(group)
    state = "" if math.isnan(gap) else f" It is {gap_words(gap)}."
    return f"Its ECE {verb}{levels} ({change}): {verdict}.{state}"


def _verdict(difference: PairedDifference, good: str, bad: str, better: int) -> str:
    if not difference.distinguishable:
        return "not distinguishable from one-hot"
    words = good if difference.mean * better > 0 else bad
    return words if difference.source == "seeds" else f"{words}, for this seed"


def _reason(
    baseline: Group, group: Group, accuracy: PairedDifference | None, ece: PairedDifference | None
) -> str:
    less_accurate = accuracy is not None and accuracy.distinguishable and accuracy.mean < 0
    worse_calibrated = ece is not None and ece.distinguishable and ece.mean > 0
    gap = confidence_gap(group)
    if group.label == "label-smoothing" and worse_calibrated and gap < -CALIBRATED:
        return (
            f"Why: its targets give the right class about {1 - group.alpha:g} of the probability, so "
            "confidence stays below accuracy; the paper finds the same for LS with a growing alpha."
        )
    if group.label != "virtual-smoothing" or not (less_accurate or worse_calibrated):
        return ""
    reasons = []
    if worse_calibrated and gap < -CALIBRATED:
        before = confidence_words(confidence_gap(baseline))
        already = "already under-confident" if before == "under-confident" else "not far over-confident"
        reasons.append(f"one-hot is {already} here, and this alpha takes away more confidence than that")
    if less_accurate:
        reasons.append(
            "the virtual classes make fitting harder, which helps only a network powerful enough for its data"
        )
    advice = "The paper's guideline is a smaller alpha here; vs:auto chooses one on validation data."
    return f"Why: {'; '.join(reasons)}. {advice}" if reasons else ""


def _seeds(difference: PairedDifference) -> str:
    return f"{difference.seeds} seed{'' if difference.seeds == 1 else 's'}"
