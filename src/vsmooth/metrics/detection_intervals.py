"""Intervals of detection metrics over the test images of both kinds, from one sort and shared resamples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from vsmooth.metrics.binning import check_level
from vsmooth.metrics.bootstrap import BootstrapInterval, check_resamples
from vsmooth.metrics.detection import DETECTION_METRICS, WITH_INTERVAL, Floats, Ranking, rank_scores

Indices = npt.NDArray[np.int32]


def detection_intervals(
    inside: npt.ArrayLike, outside: npt.ArrayLike, resamples: int = 1000, level: float = 0.95
) -> dict[str, BootstrapInterval]:
    """All metrics by name, with percentile intervals: images of both kinds are drawn anew, each kind by itself.

    Of scores (N,) of the classes' images and (M,) of outliers. The detection error has no interval (NaN ends), as none
    of this kind covers, and neither has a metric that is the same in all resamples, as where the two kinds do not
    overlap: the images then do not say how it varies. The intervals hold for this network and these sets of images, not
    for other seeds or other kinds of outliers. ValueError as `rank_scores`, and for a level outside (0, 1) and fewer
    resamples than its tails need.
    Source: Efron and Tibshirani (1993), Sec. 13.3.
    """
    check_level(level)
    check_resamples(resamples, level)
    ranking = rank_scores(inside, outside)
    drawn = resampled_metrics(ranking, WITH_INTERVAL, resamples)
    whole = ranking.counts
    return {name: _interval(metric(whole), drawn.get(name), level) for name, metric in DETECTION_METRICS.items()}


def _interval(value: float, drawn: Floats | None, level: float) -> BootstrapInterval:
    if drawn is None or np.ptp(drawn) == 0:
        return BootstrapInterval(value, np.nan, np.nan)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return BootstrapInterval(value, float(low), float(high))


def resampled_metrics(ranking: Ranking, names: Sequence[str], resamples: int) -> dict[str, Floats]:
    """Some of `DETECTION_METRICS` of resamples, (R,) by name.

    Equally many images of both kinds see the same draws: networks that scored the same images can be compared draw by
    draw.
    """
    found = {name: np.empty(resamples) for name in names}
    sizes = len(ranking.inside), len(ranking.outside)
    for place, (inside, outside) in enumerate(_draws(*sizes, resamples)):
        counts = ranking.count(ranking.inside[inside], ranking.outside[outside])
        for name in names:
            found[name][place] = DETECTION_METRICS[name](counts)
    return found


def _draws(inside: int, outside: int, resamples: int) -> Iterator[tuple[Indices, Indices]]:
    kinds = [(np.random.default_rng([kind, size]), size) for kind, size in enumerate((inside, outside))]
    for _ in range(resamples):
        first, second = (generator.integers(0, size, size, dtype=np.int32) for generator, size in kinds)
        yield first, second
