"""Shift against the run's clean metrics and images corrupted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vsmooth.data import Dataset
from vsmooth.data.corruptions import corrupt
from vsmooth.data.storage.files import evenly_spaced
from vsmooth.experiments.run_paths import open_run
from vsmooth.experiments.shift import evaluate_shift
from vsmooth.records.run import read_record
from vsmooth.records.shift import SHIFT_FILE, read_shift

NAMES = ("contrast", "gaussian-noise")


def test_shift_of_a_run(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    told: list[tuple[int, int]] = []
    found = evaluate_shift(
        run_of["vs"], toy_dataset, corruptions=NAMES, on_row=lambda done, total: told.append((done, total))
    )
    assert found.corruptions == NAMES
    assert told == [(done, 11) for done in range(1, 12)]
    accuracy = found.table("accuracy")
    assert [len(row) for row in accuracy] == [6, 6]
    clean = read_record(run_of["vs"]).metrics
    assert [row[0] for row in accuracy] == pytest.approx([clean["accuracy"]] * 2)
    assert found.table("ece")[1][0] == pytest.approx(clean["ece"], abs=1e-6)
    images = corrupt(toy_dataset.test.images.float() / 255, "gaussian-noise", 5)
    with torch.inference_mode():
        right = open_run(run_of["vs"], toy_dataset).eval()(images).argmax(1) == toy_dataset.test.labels
    assert accuracy[1][5] == pytest.approx(float(right.double().mean()))


def test_a_record_is_read_back_and_made_anew_for_other_questions(
    run_of: dict[str, Path], toy_dataset: Dataset
) -> None:
    first = evaluate_shift(run_of["one"], toy_dataset, corruptions=NAMES[:1], images=20)
    assert read_shift(run_of["one"]) == first
    assert first.images == 20
    assert all(row.samples == 20 for row in first.rows)
    told: list[int] = []
    again = evaluate_shift(
        run_of["one"], toy_dataset, corruptions=NAMES[:1], images=20, on_row=lambda done, _: told.append(done)
    )
    assert (again, told) == (first, [])
    other = evaluate_shift(run_of["one"], toy_dataset, corruptions=NAMES[:1], images=30)
    assert other.images == 30


def test_mistakes(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="unknown corruption 'fogg': did you mean 'fog'"):
        evaluate_shift(run_of["one"], toy_dataset, corruptions=("fogg",))
    for images in (0, 81):
        with pytest.raises(ValueError, match=rf"1 to 80 images, got 1 and {images}"):
            evaluate_shift(run_of["one"], toy_dataset, corruptions=("fog",), images=images)
    other = toy_dataset.limited(100)
    with pytest.raises(ValueError, match="was trained on other images"):
        evaluate_shift(run_of["one"], other, corruptions=("fog",))
    assert not (run_of["one"] / SHIFT_FILE).exists()


def test_a_foreign_record(run_of: dict[str, Path]) -> None:
    row = {"corruption": "fog", "severity": 2, "accuracy": 1, "ece": 0, "nll": 0, "mean_confidence": 1, "samples": 3}
    for rows in ([{"corruption": "fog"}], [row, row]):
        (run_of["one"] / SHIFT_FILE).write_text(json.dumps({"schema": 3, "images": 3, "rows": rows}))
        with pytest.raises(ValueError, match=r"shift\.json is damaged: .*; delete it and run again"):
            read_shift(run_of["one"])


def test_evenly_spaced() -> None:
    assert evenly_spaced(10, 10).tolist() == list(range(10))
    assert evenly_spaced(11, 3).tolist() == [0, 5, 10]
    assert evenly_spaced(7, 1).tolist() == [0]
    assert len(evenly_spaced(10_000, 9_999).unique()) == 9_999
