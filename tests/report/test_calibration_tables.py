"""Tables and panels of calibration records against the records themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from record_builders import objective_of, variant

from vsmooth.experiments.calibration import calibrate_run
from vsmooth.experiments.variants import objective_record
from vsmooth.losses import parse_objective
from vsmooth.records.calibration import CalibrationSettings, read_calibration
from vsmooth.records.comparison import Comparison
from vsmooth.records.run import RunRecord
from vsmooth.report.calibration.tables import (
    calibrated_labels,
    calibration_table,
    comparison_grids,
    reliability_panels,
    scaled_runs,
    scaling_table,
)
from vsmooth.report.render.table import Table
from vsmooth.report.render.terminal import to_rich

FEW = CalibrationSettings(resamples=40)


def calibrate(comparison: Comparison, settings: CalibrationSettings = FEW, validation: bool = True) -> None:
    for run in comparison.runs:
        folder = Path(comparison.directory, run.folder)
        if validation:  # the same samples will do: what is looked at are the tables
            (folder / "predictions-validation.npz").write_bytes((folder / "predictions-test.npz").read_bytes())
        calibrate_run(folder, settings)


def column(table: Table, title: str) -> list[str]:
    titles = [column.title.replace("\n", " ") for column in table.columns]
    return [row[titles.index(title)].text for row in table.rows]


def details(table: Table, title: str) -> list[str]:
    titles = [column.title.replace("\n", " ") for column in table.columns]
    return [row[titles.index(title)].detail for row in table.rows]


def test_values_are_means_over_the_seeds(comparison: Comparison) -> None:
    calibrate(comparison)
    labels = calibrated_labels(comparison)
    assert [label.name for label in labels] == ["one-hot", "LS 0.4", "VS 0.1", "VS 0.5"]
    table = calibration_table(labels)
    eces = [[run.value("ece") for run in group.runs] for group in comparison.groups]
    assert column(table, "ECE (15 bins)") == [f"{np.mean(values):.3f}" for values in eces]
    assert details(table, "ECE (15 bins)") == [f"± {np.std(values, ddof=1):.3f}" for values in eces]
    assert column(table, "Brier") == [
        f"{np.mean([run.value('brier') for run in group.runs]):.3f}" for group in comparison.groups
    ]
    assert any("standard deviation over the seeds" in note for note in table.notes)
    assert not any("bootstrap" in note for note in table.notes)


def test_long_names_are_whole_in_tables_and_short_in_figures(comparison: Comparison) -> None:
    calibrate(comparison)
    names = [f"logits-of-a-network-with-label-number-{index}-epoch-200" for index in range(4)]
    labels = [replace(label, name=name) for label, name in zip(calibrated_labels(comparison), names, strict=True)]
    assert column(calibration_table(labels), "Label") == names
    for drawn in (reliability_panels(labels), scaled_runs(labels)):
        found = [item.name for item in drawn]
        assert len(set(found)) == 4
        assert all(len(name) <= 26 and "…" in name for name in found)


def test_one_seed_has_bootstrap_intervals(make_comparison: Callable[..., Comparison]) -> None:
    made = make_comparison(seeds=1)
    calibrate(made)
    table = calibration_table(calibrated_labels(made))
    found = read_calibration(Path(made.directory, made.runs[1].folder))
    assert found is not None
    interval = found.scores["trained"].metrics["nll"]
    assert details(table, "NLL")[1] == f"{interval.low:.3f}–{interval.high:.3f}"
    assert details(table, "too sure") == [""] * 4
    assert details(table, "Adaptive ECE") == [""] * 4  # no interval of it would cover
    assert all(details(table, "Debiased ECE"))
    assert any("95 % interval over the test images" in note for note in table.notes)
    rendered = to_rich(table, 80)
    assert rendered.row_count == 4


def test_scaling(comparison: Comparison) -> None:
    calibrate(comparison)
    labels = calibrated_labels(comparison)
    table = scaling_table(labels)
    for label, text in zip(labels, column(table, "T"), strict=True):
        fits = [record.temperature.temperature for record in label.records if record.temperature is not None]
        assert text == f"{np.mean(fits):.3f}"
    assert column(table, "ECE normalised")[0] == "–"
    assert float(column(table, "ECE normalised")[1]) > 0
    runs = scaled_runs(labels)
    assert [run.name for run in runs] == [label.name for label in labels]
    assert runs[1].before.tolist() == pytest.approx([run.value("ece") for run in comparison.groups[1].runs])
    assert all(runs[1].after < runs[1].before)  # LS 0.4 is far too unsure


def test_without_validation_there_is_nothing_to_scale(comparison: Comparison) -> None:
    calibrate(comparison, validation=False)
    labels = calibrated_labels(comparison)
    table = scaling_table(labels)
    assert column(table, "T") == ["–"] * 4
    assert any("no validation logits" in note for note in table.notes)
    assert scaled_runs(labels) == ()


def test_panels_show_the_first_seed_and_say_so(comparison: Comparison) -> None:
    calibrate(comparison)
    panels = reliability_panels(calibrated_labels(comparison))
    first = comparison.groups[2].runs[0]
    assert panels[2].note == f"ECE {first.value('ece'):.3f}, first of 3 seeds"
    assert int(panels[2].bins.counts.sum()) == 1500
    confidence = np.nansum(panels[2].bins.confidence * panels[2].bins.counts) / 1500
    assert confidence == pytest.approx(first.value("mean_confidence"))


def test_only_labels_of_one_number_of_bins_stand_in_a_table(comparison: Comparison) -> None:
    assert calibrated_labels(comparison) == ()
    calibrate(comparison)
    calibrate_run(Path(comparison.directory, comparison.groups[1].runs[0].folder), replace(FEW, bins=7))
    assert [label.name for label in calibrated_labels(comparison)] == ["one-hot", "VS 0.1", "VS 0.5"]


def test_a_damaged_record_is_named(comparison: Comparison) -> None:
    calibrate(comparison)
    path = Path(comparison.directory, comparison.runs[0].folder) / "calibration.json"
    path.write_text(json.dumps({"schema": 3}))
    with pytest.raises(ValueError, match=r"calibration\.json is damaged: settings: missing"):
        calibrated_labels(comparison)


def grid_of(comparison: Comparison, alphas: Sequence[float]) -> Comparison:
    run = next(run for run in comparison.runs if run.variant.objective.kind == "virtual-smoothing")
    return replace(comparison, runs=tuple(with_virtual(run, alpha) for alpha in alphas))


def with_virtual(run: RunRecord, alpha: float, num_virtual: int = 10) -> RunRecord:
    return replace(run, variant=variant(objective_of("virtual-smoothing", alpha, num_virtual, run.num_classes)))


def test_three_alphas_make_a_grid(comparison: Comparison) -> None:
    assert comparison_grids(comparison) == ()
    assert comparison_grids(grid_of(comparison, (0.1, 0.2))) == ()
    (grid,) = comparison_grids(grid_of(comparison, (0.3, 0.1, 0.2)))
    assert grid.alphas.tolist() == [0.1, 0.2, 0.3]
    other = grid_of(comparison, (0.1, 0.2, 0.3))
    runs = (*other.runs[:2], with_virtual(other.runs[2], 0.3, 77))
    assert comparison_grids(replace(other, runs=runs)) == ()


def test_objectives_without_an_alpha_are_in_no_grid(comparison: Comparison) -> None:
    """Margin-based smoothing has two numbers: its runs of one margin are no twins."""
    objectives = [objective_record(parse_objective(f"mbls:10:{weight}"), 10) for weight in (0.1, 0.2, 0.3)]
    grid = grid_of(comparison, (0.1, 0.2, 0.3))
    runs = (*grid.runs, *(replace(grid.runs[0], variant=variant(one)) for one in objectives))
    assert [one.label for one in comparison_grids(replace(grid, runs=runs))] == ["virtual-smoothing"]
