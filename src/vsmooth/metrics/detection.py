"""How well a score tells outliers from images of the classes: exact, with ties, by one sort.

A larger score speaks for an outlier. Outliers (out-of-distribution, OOD) are the positive class unless a name says
"in"; an image is flagged where its score reaches a threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_FOUND = 0.95  # of the positive class, in the metrics of this name
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Ranking:
    """Scores of both kinds in one falling order; equal scores form a group, so their order never matters.

    inside, outside: the group of each image, (N,) and (M,). thresholds: the score of each of the G groups.
    """

    inside: npt.NDArray[np.int64]
    outside: npt.NDArray[np.int64]
    thresholds: Floats

    @property
    def counts(self) -> Counts:
        """Of all images, each once."""
        return self.count(self.inside, self.outside)

    def count(self, inside: npt.NDArray[np.int64], outside: npt.NDArray[np.int64]) -> Counts:
        """Of a choice of images, by their groups."""
        size = len(self.thresholds)
        return Counts(np.bincount(inside, minlength=size), np.bincount(outside, minlength=size))


@dataclass(frozen=True, eq=False)
class Counts:
    """How many images of each kind have each score, (G,), from the highest score to the lowest."""

    inside: npt.NDArray[np.int64]
    outside: npt.NDArray[np.int64]

    @property
    def reversed(self) -> Counts:
        """With the classes' images as the positive class: what was high is low."""
        return Counts(self.outside[::-1], self.inside[::-1])


@dataclass(frozen=True, eq=False)
class Roc:
    """The curve over all thresholds, from none flagged to all: (G + 1,) each, and the thresholds, the first infinite.

    found: share of the outliers that is flagged; false_alarms: share of the classes' images that is flagged.
    """

    thresholds: Floats
    found: Floats
    false_alarms: Floats


def rank_scores(inside: npt.ArrayLike, outside: npt.ArrayLike) -> Ranking:
    """Scores of images of the classes (N,) and of outliers (M,) in one order. Infinite scores are extreme ones.

    ValueError for no images of a kind, NaN, and another shape.
    """
    kinds = {"images of the classes": inside, "outliers": outside}
    arrays = [_checked(name, values) for name, values in kinds.items()]
    thresholds, group = np.unique(np.concatenate(arrays), return_inverse=True)
    place = len(thresholds) - 1 - group
    count = len(arrays[0])
    return Ranking(place[:count], place[count:], thresholds[::-1])


def _checked(name: str, values: npt.ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"the scores of {name} must be (N,) with at least one, got shape {found.shape}")
    if broken := int(np.isnan(found).sum()):
        raise ValueError(f"{broken:,} of the {len(found):,} scores of {name} are NaN: they have no place in an order")
    return found


def roc_curve(ranking: Ranking) -> Roc:
    """The receiver operating characteristic, a point for each threshold that occurs."""
    counts = ranking.counts
    found, false_alarms = (
        np.concatenate([[0.0], values.cumsum() / values.sum()]) for values in (counts.outside, counts.inside)
    )
    return Roc(np.concatenate([[np.inf], ranking.thresholds]), found, false_alarms)


def auroc(counts: Counts) -> float:
    """Area under the ROC curve: `P(outlier scores higher) + P(equal) / 2`. 0.5 for one score for all."""
    below = counts.inside.sum() - counts.inside.cumsum() + counts.inside / 2
    return float(counts.outside @ below / (counts.inside.sum() * counts.outside.sum()))


def aupr_out(counts: Counts) -> float:
    """Average precision with outliers positive: `sum_g (R_g - R_{g-1}) P_g`; their share among all for equal scores.

    It depends on how many of both kinds there are.
    """
    found, alarms = counts.outside.cumsum(), counts.inside.cumsum()
    precision = found / np.maximum(found + alarms, 1)
    return float(counts.outside @ precision / counts.outside.sum())


def aupr_in(counts: Counts) -> float:
    """`aupr_out` with the images of the classes positive, and low scores speaking for them."""
    return aupr_out(counts.reversed)


def fpr95_out(counts: Counts) -> float:
    """Share of the classes' images that is flagged where 95 % of the outliers are, or more: OOD is positive.

    At the highest threshold that finds so many; 1 for one score for all. Source: the paper, Sec. 4.3.
    """
    found = counts.outside.cumsum()
    place = int(np.searchsorted(found, _FOUND * found[-1] - _ROUNDING))
    return float(counts.inside[: place + 1].sum() / counts.inside.sum())


def fpr95_in(counts: Counts) -> float:
    """Share of the outliers that passes where 95 % of the classes' images do, or more: ID is positive.

    The convention of much of the literature, beside `fpr95_out`.
    """
    return fpr95_out(counts.reversed)


def detection_error(counts: Counts) -> float:
    """Smallest `(missed outliers + false alarms) / 2`, both shares, over all thresholds; at most 0.5.

    Source: Liang et al., "Enhancing the Reliability of Out-of-distribution Image Detection" (ICLR 2018), Sec. 4.
    """
    found, alarms = (values.cumsum() / values.sum() for values in (counts.outside, counts.inside))
    return float(min(0.5, ((1 - found + alarms) / 2).min()))


DetectionMetric = Callable[[Counts], float]
DETECTION_METRICS: Mapping[str, DetectionMetric] = MappingProxyType({
    metric.__name__: metric for metric in (auroc, aupr_out, aupr_in, fpr95_out, fpr95_in, detection_error)
})

# The best threshold of a resample fits its noise, so an interval of the detection error would not cover.
WITH_INTERVAL = tuple(name for name in DETECTION_METRICS if name != "detection_error")


def detection_metrics(inside: npt.ArrayLike, outside: npt.ArrayLike) -> dict[str, float]:
    """All of `DETECTION_METRICS` by name, of scores (N,) of the classes' images and (M,) of outliers.

    ValueError as `rank_scores`.
    """
    counts = rank_scores(inside, outside).counts
    return {name: metric(counts) for name, metric in DETECTION_METRICS.items()}


def threshold_finding(outside: npt.ArrayLike, share: float) -> float:
    """The highest threshold at which `share` of the outliers, or more, have a score that reaches it.

    ValueError for a share outside (0, 1], NaN and no scores.
    """
    return _quantile("outliers", outside, share)


def threshold_keeping(inside: npt.ArrayLike, share: float) -> float:
    """The lowest threshold at which `share` of the classes' images, or more, stay below it.

    The next number above the score of the last one that is kept. ValueError as `threshold_finding`.
    """
    kept = -_quantile("images of the classes", -_checked("images of the classes", inside), share)
    return float(np.nextafter(kept, np.inf))


def _quantile(name: str, values: npt.ArrayLike, share: float) -> float:
    found = np.sort(_checked(name, values))[::-1]
    if not 0 < share <= 1:
        raise ValueError(f"the share of {name} must be above 0 and at most 1, got {share}")
    return float(found[int(np.ceil(share * len(found) - _ROUNDING)) - 1])
