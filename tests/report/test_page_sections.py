"""The page shows what calibrate and inspect left, stays self-contained, and is silent on what is not there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from inspection_builders import inspect_by_hand

from vsmooth.evaluate import CorruptedMetrics
from vsmooth.experiments.calibration import calibrate_run
from vsmooth.records.calibration import CalibrationSettings
from vsmooth.records.comparison import Comparison
from vsmooth.records.json_files import write_json
from vsmooth.records.run import write_record
from vsmooth.report import render_page
from vsmooth.report.shift.curves import shift_curves, shift_table

CALIBRATION = ("Calibration, error by error", "Before and after scaling")
INSPECTION = (
    "Three classes on a plane",
    "Which similarity the labels keep",
    "What the virtual classes do",
    "Where the classes look",
)


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def write_shift(comparison: Comparison, images: int = 100) -> None:
    for run in comparison.runs:
        rows = [CorruptedMetrics("none", 0, 0.9 - run.seed / 10, 0.01, 0.3, 0.9, images)]
        rows += [
            CorruptedMetrics(name, severity, 0.9 - severity / 10, severity / 100, 1.0, 0.8, images)
            for name in ("fog", "jpeg")
            for severity in range(1, 6)
        ]
        write_json(Path(comparison.directory, run.folder, "shift.json"), {"images": images, "rows": rows})


def test_without_records_the_page_is_as_it_was(comparison: Comparison) -> None:
    found = headings(render_page(comparison))
    assert not set(found) & {*CALIBRATION, *INSPECTION, "On corrupted images", "ECE against alpha"}


def test_everything_is_shown(make_comparison: Callable[..., Comparison]) -> None:
    made = make_comparison(seeds=1)
    for run in made.runs:
        folder = Path(made.directory, run.folder)
        (folder / "predictions-validation.npz").write_bytes((folder / "predictions-test.npz").read_bytes())
        calibrate_run(folder, CalibrationSettings(resamples=40))
    inspect_by_hand(made, integrated=True)
    write_shift(made)
    page = render_page(made)
    assert set(headings(page)) >= {*CALIBRATION, *INSPECTION, "On corrupted images"}
    # pictures within a figure are part of the file; nothing else is fetched
    assert not re.search(r'(?:src|href)="(?!#|data:image/png;base64,)', page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    # 12 of the plain page; temperature, shift, plane, heatmaps, mass, two of gradients
    assert page.count("<svg role") == 12 + 7


def test_names_are_escaped(make_comparison: Callable[..., Comparison]) -> None:
    made = replace(make_comparison(seeds=1), classes=tuple(f"<b>{letter}" for letter in "abcdefghij"))
    inspect_by_hand(made)
    assert "<b>" not in render_page(made)


def test_a_grid_of_alphas_shows_without_any_record(make_comparison: Callable[..., Comparison]) -> None:
    cases = tuple(("virtual-smoothing", alpha, 3.6, 0.9) for alpha in (0.1, 0.3, 0.5))
    page = render_page(make_comparison(seeds=2, cases=cases))
    assert "ECE against alpha" in headings(page)
    assert re.search(r"<td>\[0\.\d{3}\]", page)


def test_curves_of_shift_are_means_over_the_seeds(comparison: Comparison) -> None:
    write_shift(comparison)
    curves = shift_curves(comparison)
    assert [curve.name for curve in curves] == ["one-hot", "LS 0.4", "VS 0.1", "VS 0.5"]
    assert curves[0].accuracy.shape == (2, 6)
    assert curves[0].accuracy[:, 0] == pytest.approx([0.8, 0.8])
    assert curves[0].ece[1].tolist() == pytest.approx([0.01, 0.01, 0.02, 0.03, 0.04, 0.05])
    row = shift_table(curves).rows[0]
    assert (row[1].text, row[6].text, row[6].detail) == ("80.00 %", "40.00 %", "ECE 0.050")


def test_one_run_is_counted_in_the_singular(make_comparison: Callable[..., Comparison]) -> None:
    made = make_comparison(seeds=1)
    assert "<summary>4 runs, one row per seed</summary>" in render_page(made)
    page = render_page(replace(made, runs=(replace(made.runs[0], epochs=1),)))
    assert "<summary>1 run, one row per seed</summary>" in page
    assert "· 1 epoch · 1 seed ·" in page.replace("\xa0", " ")


def test_shift_on_other_images_does_not_stand_beside(comparison: Comparison) -> None:
    write_shift(comparison)
    other = replace(comparison, runs=comparison.groups[2].runs)
    write_shift(other, images=50)
    for run in comparison.runs:
        write_record(run, Path(comparison.directory, run.folder))
    assert [curve.name for curve in shift_curves(comparison)] == ["one-hot", "LS 0.4", "VS 0.5"]
