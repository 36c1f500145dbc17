"""Inspection records as arrays and tables, against numpy on the very features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from inspection_builders import PLANE, inspect_by_hand

from vsmooth.records.comparison import Comparison
from vsmooth.records.inspection import FEATURES, read_inspection, write_inspection
from vsmooth.report.inspection.inspected import (
    gradient_grid,
    inspected_runs,
    mass_columns,
    plane_columns,
    similarity_matrices,
    similarity_rows,
)
from vsmooth.report.inspection.tables import cka_table, overlap_table, virtual_table, virtual_verdicts


@pytest.fixture
def inspected(make_comparison: Callable[..., Comparison]) -> Comparison:
    made = make_comparison(seeds=2)
    inspect_by_hand(made)
    return made


def test_the_first_inspected_seed_stands_for_its_label(inspected: Comparison) -> None:
    first = Path(inspected.directory, inspected.groups[0].runs[0].folder)
    (first / "inspection.json").unlink()
    runs = inspected_runs(inspected)
    assert [(run.name, run.run.seed) for run in runs] == [("one-hot", 1), ("LS 0.4", 0), ("VS 0.1", 0), ("VS 0.5", 0)]
    assert [run.is_baseline for run in runs] == [True, False, False, False]


def test_distances_on_the_plane_are_those_in_the_layer(inspected: Comparison) -> None:
    run = inspected_runs(inspected)[2]
    (column,) = plane_columns([run], virtual=True)
    real = run.test.real_templates[list(PLANE)].double()
    np.testing.assert_allclose(torch.pdist(torch.from_numpy(column.templates)), torch.pdist(real), rtol=1e-6)
    assert column.virtual is not None
    assert column.virtual.shape == (10, 2)
    cloud = column.clouds["training images"]
    assert np.bincount(cloud.members).tolist() == [30, 30, 30]
    means = [run.train.activations[run.train.labels == label].double().mean(0) for label in PLANE]
    spread = np.stack([cloud.points[cloud.members == place].mean(0) for place in range(3)])
    assert (np.linalg.norm(spread[0] - spread[1]) <= float((means[0] - means[1]).norm()) + 1e-9)


def test_plane_columns_hold_few_points_and_one_set_of_classes(inspected: Comparison) -> None:
    runs = inspected_runs(inspected)
    write_inspection(replace(runs[1].record, classes=(0, 1, 2)), runs[1].folder)
    columns = plane_columns(inspected_runs(inspected), each=5)
    assert [column.name for column in columns] == ["one-hot", "VS 0.1", "VS 0.5"]
    assert all(column.virtual is None for column in columns)
    assert np.bincount(columns[0].clouds["test images"].members).tolist() == [5, 5, 5]


def test_mass_is_the_virtual_share_of_the_softmax(inspected: Comparison) -> None:
    runs = inspected_runs(inspected)
    columns = mass_columns(runs)
    assert [column.name for column in columns] == ["VS 0.1", "VS 0.5"]
    share = runs[3].test.logits.double().softmax(1)[:, 10:].sum(1)
    np.testing.assert_allclose(columns[1].mass, share, rtol=1e-9)
    table = virtual_table(runs)
    assert table is not None
    assert [row[0].text for row in table.rows] == ["VS 0.1", "VS 0.5"]
    assert (table.rows[1][2].text, table.rows[1][2].detail) == (f"{float(share.mean()):.3f}", "(0.5)")
    assert virtual_verdicts(runs)[0].startswith("VS 0.1: The virtual classes are")


def test_similarity(inspected: Comparison) -> None:
    runs = inspected_runs(inspected)
    rows = similarity_rows(runs)
    assert [(row.name, bool(row.differences)) for row in rows] == [
        ("one-hot", False), ("LS 0.4", True), ("VS 0.1", True), ("VS 0.5", True),
    ]
    assert [row.name for row in similarity_rows(runs[2:])] == ["VS 0.1", "VS 0.5"]
    alone = [replace(run, record=replace(run.record, similarity=None)) for run in runs[:1]]
    assert similarity_rows(alone) == ()
    for matrix in similarity_matrices(runs).values():
        np.testing.assert_allclose(matrix.sum(1), 1)


def test_networks_without_a_baseline_all_stand_in_the_table(make_comparison: Callable[..., Comparison]) -> None:
    made = make_comparison(seeds=1)
    made = replace(made, runs=made.runs[1:])
    inspect_by_hand(made)
    assert [row.name for row in similarity_rows(inspected_runs(made))] == ["LS 0.4", "VS 0.1", "VS 0.5"]


def test_gradients_show_what_each_label_adds(inspected: Comparison) -> None:
    runs = inspected_runs(inspected)
    grid = gradient_grid(runs, inspected.classes)
    assert grid is not None
    assert list(grid.maps) == [
        "one-hot\ncorrect", "LS 0.4\ncorrect", "LS 0.4\nincorrect", "VS 0.1\ncorrect", "VS 0.1\nvirtual",
        "VS 0.5\ncorrect", "VS 0.5\nvirtual",
    ]
    assert grid.captions == ("d", "a")
    assert gradient_grid(runs, inspected.classes, integrated=True) is None
    table = overlap_table(runs)
    assert table is not None
    assert [cell.text for cell in table.rows[2]] == ["VS 0.1", "0.410", "–"]
    assert [cell.text for cell in table.rows[0]] == ["one-hot", "–", "0.410"]


def test_cka_names_seeds_where_there_are_several(inspected: Comparison) -> None:
    table = cka_table(inspected)
    assert table is not None
    assert [row[0].text for row in table.rows[:3]] == ["one-hot, seed 0", "one-hot, seed 1", "LS 0.4, seed 0"]
    assert [cell.text for cell in table.rows[1][1:4]] == ["0.500", "1.000", "0.500"]
    assert "Two seeds of one label" in table.notes[0]


def test_no_records_no_pictures(comparison: Comparison) -> None:
    assert inspected_runs(comparison) == ()
    assert plane_columns(()) == ()
    assert gradient_grid((), "ab") is None
    assert virtual_table(()) is overlap_table(()) is cka_table(comparison) is None


def test_missing_features_are_named(inspected: Comparison) -> None:
    run = inspected_runs(inspected)[0]
    assert read_inspection(run.folder) is not None
    (run.folder / FEATURES["test"]).unlink()
    with pytest.raises(ValueError, match=r"no features file at .*features-test\.npz"):
        plane_columns(inspected_runs(inspected))
