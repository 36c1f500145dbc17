"""How the metrics of a comparison are named, scaled, printed and put into words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vsmooth.records.comparison import Group
from vsmooth.records.statistics import PairedDifference

CALIBRATED = 0.005  # a gap of less than half a point is called neither over- nor under-confident
MISSING, DAGGER = "–", "†"


@dataclass(frozen=True)
class Metric:
    """How a test metric is named, scaled and printed; `better` is +1 if more is better, -1 if less is."""

    key: str
    title: str
    digits: int
    better: int
    scale: float = 1.0
    compared: bool = True

    def text(self, value: float) -> str:
        return f"{value * self.scale:.{self.digits}f}"

    def signed(self, value: float) -> str:
        rounded = round(value * self.scale, self.digits) + 0.0  # no "-0.00"
        return f"{rounded:+.{self.digits}f}"


ACCURACY = Metric("accuracy", "Accuracy %", 2, +1, 100)
ECE = Metric("ece", "ECE", 3, -1)
NLL = Metric("nll", "NLL", 3, -1)
BRIER = Metric("brier", "Brier", 3, -1, compared=False)
METRICS = (ACCURACY, ECE, NLL, BRIER)
ROBUST = (
    Metric("robust_accuracy", "Accuracy under\nPGD %, last", 2, +1, 100, compared=False),
    Metric("best_accuracy", "Accuracy %,\nbest epoch", 2, +1, 100, compared=False),
    Metric("best_robust_accuracy", "Accuracy under\nPGD %, best", 2, +1, 100, compared=False),
)
TEACHER = (
    Metric("teacher_accuracy", "Teacher's\naccuracy %", 2, +1, 100, compared=False),
    Metric("teacher_agreement", "Agrees with\nteacher, %", 2, +1, 100, compared=False),
    Metric("teacher_divergence", "KL(teacher ‖\nstudent)", 4, -1, compared=False),
)


def confidence_words(gap: float) -> str:
    """Words for mean confidence minus accuracy (a fraction)."""
    if math.isnan(gap):
        return MISSING
    if abs(gap) < CALIBRATED:
        return "about right"
    return "over-confident" if gap > 0 else "under-confident"


def confidence_gap(group: Group) -> float:
    """Mean confidence minus accuracy over the group's seeds, a fraction; NaN where unknown."""
    confidence, accuracy = group.summary("mean_confidence"), group.summary("accuracy")
    return math.nan if confidence is None or accuracy is None else confidence.mean - accuracy.mean


def interval_text(metric: Metric, difference: PairedDifference) -> str:
    """"+0.40 [-0.20, +1.00]", or the difference alone without an interval."""
    if difference.low is None or difference.high is None:
        return metric.signed(difference.mean)
    low, high = metric.signed(difference.low), metric.signed(difference.high)
    return f"{metric.signed(difference.mean)} [{low}, {high}]"
