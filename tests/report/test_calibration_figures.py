from __future__ import annotations

import numpy as np
import pytest

from vsmooth.records.outcomes import outcomes
from vsmooth.report.calibration.alpha_grid import AlphaGrid
from vsmooth.report.calibration.figures import (
    ReliabilityPanel,
    ScaledRun,
    ece_against_alpha,
    reliability_diagrams,
    temperature_bars,
)
from vsmooth.report.comparison.reliability import Bins, reliability_bins
from vsmooth.report.drawing.style import Style

STYLE = Style("#0072b2", "D", "-")


@pytest.fixture
def bins() -> Bins:
    rng = np.random.default_rng(0)
    return reliability_bins(outcomes(3 * rng.normal(size=(300, 4)), rng.integers(0, 4, 300)))


@pytest.fixture
def grids() -> list[AlphaGrid]:
    alphas = np.array([0.1, 0.4, 0.8])
    accuracy = np.array([[0.91, 0.94, 0.92]] * 2)
    smoothing = np.array([[0.1, 0.3, 0.7], [0.12, 0.32, 0.74]])
    virtual = np.array([[0.017, 0.018, 0.010], [0.015, np.nan, 0.012]])
    return [
        AlphaGrid("one-hot", np.zeros(1), np.full((2, 1), 0.9), np.array([[0.03], [0.034]])),
        AlphaGrid("label-smoothing", alphas, accuracy, smoothing),
        AlphaGrid("virtual-smoothing", alphas, accuracy[:, ::-1], virtual),
    ]


def test_reliability_diagrams_draw_the_bins_and_their_intervals(bins: Bins) -> None:
    panels = [ReliabilityPanel("one-hot", bins, STYLE), ReliabilityPanel("VS 0.3", bins, STYLE, "ECE 0.1", False)]
    figure = reliability_diagrams(panels)
    first, second, below, _ = figure.axes
    full = bins.counts > 0
    assert [bar.get_height() for bar in first.containers[0]] == pytest.approx(bins.accuracy[full])
    tops = [bar.get_y() + bar.get_height() for bar in first.containers[1]]
    assert tops == pytest.approx(bins.confidence[full])
    assert sum(bar.get_height() for bar in below.containers[0]) == pytest.approx(1)
    ends = np.array([segment[:, 1] for segment in first.collections[-1].get_segments()])
    assert ends == pytest.approx(np.column_stack([bins.low, bins.high])[full])
    assert not second.collections
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["one-hot", "VS 0.3"]


def test_bins_with_few_samples_are_pale(bins: Bins) -> None:
    top = reliability_diagrams([ReliabilityPanel("x", bins, STYLE)]).axes[0]
    alphas = [bar.get_alpha() for bar in top.containers[0]]
    assert alphas == [0.35 if count < 20 else 1.0 for count in bins.counts[bins.counts > 0]]
    assert len(set(alphas)) == 2


def test_ece_against_alpha_rings_the_best_alpha(grids: list[AlphaGrid]) -> None:
    (axes,) = ece_against_alpha(grids).axes
    one_hot, smoothing, ring, virtual, other_ring = axes.lines
    assert one_hot.get_ydata() == pytest.approx([0.032, 0.032])
    assert smoothing.get_ydata() == pytest.approx([0.11, 0.31, 0.72])
    assert virtual.get_ydata() == pytest.approx([0.016, 0.018, 0.011])
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == pytest.approx((0.4, 0.31))
    assert (other_ring.get_xdata()[0], other_ring.get_ydata()[0]) == pytest.approx((0.4, 0.018))
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "Alpha"
    assert axes.get_ylabel()


def test_names_at_the_ends_do_not_overlap(grids: list[AlphaGrid]) -> None:
    close = [AlphaGrid(grid.label, grid.alphas, grid.validation_accuracy, grid.ece * 0 + 0.05) for grid in grids]
    figure = ece_against_alpha(close)
    figure.draw_without_rendering()
    names = [text for text in figure.axes[0].texts if text.get_text() in ("one-hot", "LS", "VS")]
    boxes = [text.get_window_extent() for text in names]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_temperature_bars_show_means_seeds_and_temperatures() -> None:
    several = ScaledRun("one-hot", STYLE, np.array([0.1, 0.12]), np.array([0.02, 0.04]), np.array([1.5, 1.7]))
    single = ScaledRun("VS 0.3", STYLE, np.array([0.03]), np.array([0.01]), np.array([1.1]))
    (axes,) = temperature_bars([several, single]).axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.11, 0.03, 0.03, 0.01])
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.1, 0.12], [0.02, 0.04]]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["one-hot\nT = 1.60", "VS 0.3\nT = 1.10"]


def test_nothing_to_draw_is_named() -> None:
    with pytest.raises(ValueError, match="no run to draw a reliability diagram of"):
        reliability_diagrams([])
    with pytest.raises(ValueError, match="no label to draw over alpha"):
        ece_against_alpha([])
    with pytest.raises(ValueError, match="no label to draw before and after"):
        temperature_bars([])
