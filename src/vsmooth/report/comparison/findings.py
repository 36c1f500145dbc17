"""Findings of the records in sentences, for or against the method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.objective import ObjectiveRecord
from vsmooth.records.statistics import SIGNIFICANCE, PairedDifference, holm
from vsmooth.report.comparison.metrics import ACCURACY, CALIBRATED, ECE, Metric, confidence_gap, confidence_words

LARGE_ALPHA = 0.3  # from here on LS is worse calibrated than one-hot in every row of the paper's Table 4
# Of accuracy: "at least as accurate" means less than half a point below. Chosen on 2026-11-25, after the results in
# docs/results were published; it applies to runs from then on.
MARGIN = 0.005
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
    texts = []
    for baseline in comparison.baselines:
        texts.append(_baseline_sentence(baseline))
        others = (group for group in comparison.groups if comparison.baseline_of(group) is baseline)
        texts += [_group_text(comparison, baseline, group) for group in others]
    return tuple(texts) or ("No one-hot network was trained, so nothing can be said about gains or losses.",)


@dataclass(frozen=True)
class Check:
    """A claim on one label before it is judged: the difference has this sign, or is above -margin if there is one.

    `found` is None where nothing can be compared, for the reason that `missing` gives.
    """

    text: str
    label: str
    metric: Metric
    sign: int
    found: PairedDifference | None
    margin: float | None = None
    missing: str = "no one-hot network with the same seed"

    @property
    def decision(self) -> tuple[Outcome, float]:
        """What the difference speaks for, and its uncorrected p-value; at most one outcome is false under any truth."""
        if self.found is None:
            return "not tested", 1.0
        mean, p_zero = self.found.mean * self.sign, self.found.p_value()
        if self.margin is None:
            return ("holds" if mean > 0 else "does not hold"), p_zero
        p_margin = self.found.p_value(-self.sign * self.margin) if mean > -self.margin else 1.0
        return ("holds", p_margin) if mean >= 0 or p_margin <= p_zero else ("does not hold", p_zero)


def claims(comparison: Comparison) -> tuple[Claim, ...]:
    """The paper's claims on accuracy and calibration (Sec. 4.1), checked on every label they speak about."""
    virtual = [group for group in comparison.groups if group.variant.objective.kind == "virtual-smoothing"]
    smoothed = [group for group in comparison.groups if _smooths_much(group.variant.objective)]
    accurate = f"Virtual smoothing is at least as accurate as one-hot (less than {ACCURACY.text(MARGIN)} points below)"
    checks: list[Check] = []
    for text, groups, metric, sign, margin, wanted in (
        (accurate, virtual, ACCURACY, +1, MARGIN, "VS"),
        ("Virtual smoothing is better calibrated than one-hot", virtual, ECE, -1, None, "VS"),
        ("Label smoothing with a large alpha is worse calibrated than one-hot", smoothed, ECE, +1, None,
         f"LS with alpha ≥ {LARGE_ALPHA:g}"),
    ):
        checks += [
            Check(text, group.name, metric, sign, _uncorrected(comparison, group, metric), margin) for group in groups
        ] or [Check(text, wanted, metric, sign, None, missing=f"no {wanted} in this comparison")]
    return judge(checks)


def judge(checks: Sequence[Check]) -> tuple[Claim, ...]:
    """Each claim's outcome, corrected for all that were tested (Holm): all are right in 95 % of comparisons or more."""
    tested = [check.decision[1] for check in checks if check.found is not None]
    adjusted = iter(holm(tested))
    return tuple(
        Claim(check.text, check.label, "not tested", "not tested", check.missing) if check.found is None
        else _claim(check, check.found, next(adjusted), len(tested))
        for check in checks
    )


def _smooths_much(objective: ObjectiveRecord) -> bool:
    return objective.kind == "label-smoothing" and (objective.parameter or 0.0) >= LARGE_ALPHA


def _claim(check: Check, found: PairedDifference, adjusted: float, tested: int) -> Claim:
    evidence = f"{metric_change(check.metric, found)} ({interval_words(check.metric, found)})"
    outcome, p_value = check.decision
    if adjusted > SIGNIFICANCE:
        correction = correction_words(tested) if p_value <= SIGNIFICANCE else ""
        verdict = f"not distinguishable with {_seeds(found)}{correction}"
        return Claim(check.text, check.label, "not distinguishable", verdict, evidence)
    limit = "" if found.source == "seeds" else " for this one seed"
    return Claim(check.text, check.label, outcome, outcome + limit, evidence)


def correction_words(comparisons: int) -> str:
    """" once corrected for 9 comparisons", where that alone decided."""
    return f" once corrected for {comparisons} comparisons"


def _uncorrected(comparison: Comparison, group: Group, metric: Metric) -> PairedDifference | None:
    baseline = comparison.baseline_of(group)
    return None if baseline is None else comparison.differences.between(group, baseline, metric.key)


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
    accuracy, ece = (comparison.differences.from_baseline(group, metric.key) for metric in (ACCURACY, ECE))
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
    # Levels of other seeds than the difference's would not differ by it.
    seeds = group.shared_seeds(baseline, ECE.key)
    before, after = (_only(one, seeds).summary(ECE.key) for one in (baseline, group))
    levels = f" from {before.mean:.3f} to {after.mean:.3f}" if before and after else ""
    verb = "rises" if difference.mean > 0 else "falls"
    change = f"{ECE.signed(difference.mean)}; {interval_words(ECE, difference)}"
    verdict = _verdict(difference, "better calibrated", "worse calibrated", better=-1)
    gap = confidence_gap(_only(group, seeds))
    state = "" if math.isnan(gap) else f" It is {gap_words(gap)}."
    return f"Its ECE {verb}{levels} ({change}): {verdict}.{state}"


def _only(group: Group, seeds: Sequence[int]) -> Group:
    return replace(group, runs=tuple(run for run in group.runs if run.seed in seeds))


def _verdict(difference: PairedDifference, good: str, bad: str, better: int) -> str:
    words = good if difference.mean * better > 0 else bad
    return verdict_words(difference, words, "one-hot")


def verdict_words(difference: PairedDifference, words: str, baseline: str) -> str:
    """"better than one-hot, for this seed", or that it is not distinguishable from the baseline."""
    if not difference.distinguishable:
        alone = difference.p_value() <= SIGNIFICANCE
        correction = correction_words(difference.comparisons) if alone else ""
        return f"not distinguishable from {baseline}{correction}"
    return words if difference.source == "seeds" else f"{words}, for this seed"


def _reason(
    baseline: Group, group: Group, accuracy: PairedDifference | None, ece: PairedDifference | None
) -> str:
    less_accurate = accuracy is not None and accuracy.distinguishable and accuracy.mean < 0
    worse_calibrated = ece is not None and ece.distinguishable and ece.mean > 0
    gap = confidence_gap(group)
    objective = group.variant.objective
    if objective.kind == "label-smoothing" and worse_calibrated and gap < -CALIBRATED:
        return (
            "A likely reason, not tested here: its targets give the right class about "
            f"{1 - (objective.parameter or 0):g} of the probability, less than its accuracy asks for; the paper finds "
            "the same for LS with a growing alpha."
        )
    if objective.kind != "virtual-smoothing" or not (less_accurate or worse_calibrated):
        return ""
    remarks = []
    if worse_calibrated and gap < -CALIBRATED:
        before = confidence_words(confidence_gap(baseline))
        already = "already under-confident" if before == "under-confident" else "not far over-confident"
        remarks.append(f"One-hot is {already} here, and with this alpha confidence is lower still.")
    if less_accurate:
        remarks.append(
            "The paper's explanation, not tested here: virtual classes make fitting harder, which helps only a network "
            "powerful enough for its data."
        )
    advice = "The paper's guideline is a smaller alpha here; vs:auto chooses one on validation data."
    return " ".join([*remarks, advice]) if remarks else ""


def _seeds(difference: PairedDifference) -> str:
    return f"{difference.seeds} seed{'' if difference.seeds == 1 else 's'}"
