from __future__ import annotations

import math

import numpy as np
import pytest

from vsmooth.report.calibration.alpha_grid import alpha_grids, alpha_table
from vsmooth.report.render.markdown import to_markdown

# label, alpha, seed, validation accuracy, test ECE
ROWS = [
    ("one-hot", 0.0, 0, 0.90, 0.030),
    ("one-hot", 0.0, 1, 0.91, 0.032),
    ("label-smoothing", 0.4, 0, 0.93, 0.340),
    ("label-smoothing", 0.1, 0, 0.92, 0.080),
    ("label-smoothing", 0.1, 1, 0.93, 0.090),
    ("label-smoothing", 0.4, 1, 0.94, 0.350),
    ("virtual-smoothing", 0.1, 0, 0.94, 0.018),
    ("virtual-smoothing", 0.1, 1, 0.96, 0.016),
    ("virtual-smoothing", 0.8, 1, 0.95, 0.010),
]


def test_grids_by_hand() -> None:
    one_hot, smoothing, virtual = alpha_grids(*zip(*ROWS, strict=True))
    assert (one_hot.name, smoothing.name, virtual.name) == ("one-hot", "LS", "VS")
    assert smoothing.alphas.tolist() == [0.1, 0.4]
    assert smoothing.ece == pytest.approx(np.array([[0.08, 0.34], [0.09, 0.35]]))
    assert smoothing.best == 1
    assert math.isnan(virtual.ece[0, 1])
    assert virtual.best == 0  # .95 both: the smaller alpha


def test_table_by_hand() -> None:
    table = alpha_table(alpha_grids(*zip(*ROWS, strict=True)))
    assert [column.title for column in table.columns] == ["Test ECE", "0.1", "0.4", "0.8"]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["LS", "0.085", "[0.345]", "–"],
        ["VS", "[0.017]", "–", "0.010"],
    ]
    # Differences are over shared seeds: VS .8 has seed 1 alone, whose one-hot is .032.
    assert [[cell.detail for cell in row] for row in table.rows] == [
        ["", "+0.054", "+0.314", ""],
        ["", "-0.014", "", "-0.022"],
    ]
    assert "validation" in table.notes[0]
    assert table.notes[1].startswith("One-hot: 0.031.")
    assert "[0.345]" in to_markdown(table)


def test_test_accuracy_and_ece_do_not_choose_alpha() -> None:
    rows = [("label-smoothing", 0.1, 0, 0.9, 0.5), ("label-smoothing", 0.2, 0, 0.8, 0.01)]
    (row,) = alpha_table(alpha_grids(*zip(*rows, strict=True))).rows
    assert [cell.text for cell in row] == ["LS", "[0.500]", "0.010"]


def test_without_one_hot_there_are_no_differences() -> None:
    table = alpha_table(alpha_grids(*zip(*ROWS[2:], strict=True)))
    assert not any(cell.detail for row in table.rows for cell in row)
    assert len(table.notes) == 1


def test_grids_share_their_seeds() -> None:
    rows = [*ROWS[:2], ("virtual-smoothing", 0.3, 1, 0.9, 0.02)]
    grids = alpha_grids(*zip(*rows, strict=True))
    assert np.isnan(grids[1].ece[0]).all()
    assert alpha_table(grids).rows[0][1].detail == "-0.012"  # against seed 1 of one-hot, not its mean


def test_bad_input_is_named() -> None:
    labels, alphas, seeds, accuracy, ece = (list(column) for column in zip(*ROWS, strict=True))
    with pytest.raises(ValueError, match=r"one length of at least 1, got \[8, 9\]"):
        alpha_grids(labels, alphas, seeds, accuracy, ece[1:])
    with pytest.raises(ValueError, match=r"one length of at least 1, got \[0\]"):
        alpha_grids([], [], [], [], [])
    with pytest.raises(ValueError, match=r"run 2 \(label-smoothing, seed 0\) has no validation accuracy: nan"):
        alpha_grids(labels, alphas, seeds, [*accuracy[:2], math.nan, *accuracy[3:]], ece)
    with pytest.raises(ValueError, match="one-hot with alpha 0 and seed 0 occurs twice"):
        alpha_grids(labels, alphas, [0, 0, *seeds[2:]], accuracy, ece)
