"""Findings of a comparison of teachers, for or against the paper's claims on distillation."""

from __future__ import annotations

from vsmooth.records.comparison import Comparison, Group
from vsmooth.records.statistics import PairedDifference
from vsmooth.report.comparison.findings import (
    Check,
    Claim,
    gap_words,
    interval_words,
    judge,
    metric_change,
    verdict_words,
)
from vsmooth.report.comparison.metrics import ACCURACY, TEACHER, confidence_gap

_CAUTION = (
    "Intervals are over the students' seeds and the test images. Each teacher is one trained network: another of the "
    "same label may teach better or worse, and these intervals do not know of that."
)
_KINDS = {"VS": "virtual-smoothing", "LS": "label-smoothing", "one-hot": "one-hot"}
# What the paper says, whose students, compared with those of whom (None: of nobody), the sign of the difference.
_CLAIMS = (
    ("A student of a VS teacher is more accurate than one without a teacher", "VS", None, +1),
    ("A student of a VS teacher is more accurate than one of a one-hot teacher", "VS", "one-hot", +1),
    ("A student of a VS teacher is more accurate than one of an LS teacher", "VS", "LS", +1),
    ("A student of an LS teacher may be less accurate than one of a one-hot teacher", "LS", "one-hot", -1),
)


def findings(comparison: Comparison) -> tuple[str, ...]:
    """A text about the student without a teacher, one per teacher, and what the intervals leave out."""
    plain = [group for group in comparison.groups if group.plain]
    if not plain:
        return ("No student without a teacher was trained, so nothing can be said about gains or losses.",)
    taught = tuple(_group_text(comparison, group) for group in comparison.taught)
    return (*map(_plain_text, plain), *taught, _CAUTION)


def claims(comparison: Comparison) -> tuple[Claim, ...]:
    """The paper's claims on distillation (Sec. 4.1, Table 5), checked on every pair of teachers they speak about."""
    checks = []
    for text, ours, theirs, sign in _CLAIMS:
        students, others = _students_of(comparison, ours), _students_of(comparison, theirs)
        checks += [_check(comparison, text, group, other, sign) for group in students for other in others]
        if not students or not others:
            missing = f"no {ours if not students else theirs} teacher in this comparison"
            checks.append(Check(text, ours, ACCURACY, sign, None, missing=missing))
    return judge(checks)


def _students_of(comparison: Comparison, kind: str | None) -> list[Group]:
    if kind is None:
        return [group for group in comparison.groups if group.plain]
    taught = ((group, group.teacher.objective) for group in comparison.taught if group.teacher is not None)
    return [group for group, objective in taught if objective is not None and objective.kind == _KINDS[kind]]


def _check(comparison: Comparison, text: str, group: Group, other: Group, sign: int) -> Check:
    name = group.name if other.plain else f"{group.name}, {other.name}"
    found = comparison.differences.between(group, other, ACCURACY.key)
    return Check(text, name, ACCURACY, sign, found, missing="no students with the same seed")


def _plain_text(plain: Group) -> str:
    accuracy, ece = plain.summary("accuracy"), plain.summary("ece")
    if accuracy is None or ece is None:
        return "The records of the student without a teacher hold no accuracy or no ECE."
    caution = "" if len(plain.runs) > 1 else (
        " There is one seed, so intervals are a bootstrap over the test images: another seed may differ by more."
    )
    level = f"{100 * accuracy.mean:.2f} % accuracy with an ECE of {ece.mean:.3f}"
    return f"Without a teacher the student reaches {level}, {gap_words(confidence_gap(plain))}.{caution}"


def _group_text(comparison: Comparison, group: Group) -> str:
    found = comparison.differences.from_baseline(group, ACCURACY.key)
    if found is None:
        return f"{group.name} shares no seed with the student without a teacher, so the two cannot be compared."
    numbers = f"{metric_change(ACCURACY, found)} ({interval_words(ACCURACY, found)})"
    return f"{group.name} changes accuracy by {numbers}: {_verdict(found)}.{_teacher_text(group)}"


def _verdict(found: PairedDifference) -> str:
    words = "better than no teacher" if found.mean > 0 else "worse than no teacher"
    return verdict_words(found, words, "no teacher")


def _teacher_text(group: Group) -> str:
    own, agreement, divergence = (group.summary(metric.key) for metric in TEACHER)
    if own is None or agreement is None or divergence is None:
        return ""
    return (
        f" The teacher itself reaches {100 * own.mean:.2f} %; its student says the same on "
        f"{100 * agreement.mean:.2f} % of the test images, at a KL divergence of {divergence.mean:.4f} nats."
    )
