"""Records of runs, and of comparisons, on disk and in groups."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from record_builders import epoch_record, run_record

from vsmooth.experiments.variants import objective_record
from vsmooth.losses.catalogue import parse_objective
from vsmooth.records.comparison import Comparison, load_comparison, write_summary
from vsmooth.records.json_files import read_json, write_json
from vsmooth.records.run import Candidate, RunRecord, read_record, read_run, write_record
from vsmooth.records.serialisation import to_plain

EPOCH = epoch_record(1, 1.5, 0.1, 2.0, 900.0, 0.8, 0.6, 0.05, 0.85)
METRICS = {"accuracy": 0.8, "ece": 0.05, "nll": 0.6, "brier": 0.3, "mean_confidence": 0.85, "top5": 0.99}


def make_run(label: str = "one-hot", alpha: float = 0.0, seed: int = 0, **metrics: float) -> RunRecord:
    return run_record(
        label, alpha, 0, seed, "embedded", "small", 1, 100, 10, {**METRICS, **metrics}, 3.0, 900.0, (EPOCH,),
        f"{label}-{alpha:g}-{seed}",
    )


def make_comparison(directory: Path) -> Comparison:
    runs = (
        make_run(seed=0, accuracy=0.80), make_run(seed=1, accuracy=0.82),
        make_run("virtual-smoothing", 0.3, 1, accuracy=0.85),
        make_run("virtual-smoothing", 0.3, 0, accuracy=0.81),
        make_run("label-smoothing", 0.1, 5),
    )
    return Comparison(runs, "vsmooth compare", {"torch": "2"}, ("a", "b"), directory)


def test_names() -> None:
    assert make_run().name == "one-hot"
    assert make_run("label-smoothing", 0.1).name == "LS 0.1"
    assert make_run("virtual-smoothing", 0.30).name == "VS 0.3"
    for virtual, name in ((10, "VS 0.3"), (200, "VS 0.3 V=200")):
        assert objective_record(parse_objective(f"vs:0.3:{virtual}"), 10).name == name


def test_record_survives_the_disk(tmp_path: Path) -> None:
    run = replace(make_run(), selected_from=(Candidate("VS 0.1", 0.1, 0.5, 0.8),))
    write_record(run, tmp_path)
    assert read_record(tmp_path) == run
    assert json.loads((tmp_path / "record.json").read_text())["schema"] == 3
    assert list(tmp_path.iterdir()) == [tmp_path / "record.json"]


def test_not_a_number_becomes_null_and_comes_back(tmp_path: Path) -> None:
    write_record(make_run(top5=math.nan, nll=math.inf), tmp_path)
    assert "NaN" not in (text := (tmp_path / "record.json").read_text())
    assert "Infinity" not in text
    assert math.isnan(read_record(tmp_path).value("top5"))


def test_failed_write_keeps_the_file_before(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert read_json(path) == {"x": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema": 3, "x"', r"a\.json cannot be read"),
        ("[1, 2]", r"a\.json was not written by vsmooth"),
        ('{"x": 1}', r"a\.json was not written by vsmooth"),
        ('{"schema": 4}', r"a\.json has schema 4, this vsmooth reads 3; upgrade vsmooth"),
        ('{"schema": 1}', r"a\.json has schema 1, this vsmooth reads 3; delete it and run again"),
        ('{"schema": "3"}', r"a\.json has schema '3', this vsmooth reads 3; delete it and run again"),
        ('{"format": 1}', r"a\.json is of an earlier vsmooth, without a schema number; this one reads 3; delete it"),
        ("[" * 100_000, r"a\.json cannot be read \(it is nested too deeply\); delete it and run again"),
        ('{"schema": 3, "x": "\\ud8', r"a\.json cannot be read"),
    ],
)
def test_unreadable_json(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / "a.json")


def test_missing_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file at .*a\.json"):
        read_json(tmp_path / "a.json")


def test_record_with_wrong_fields(tmp_path: Path) -> None:
    value = to_plain(make_run())
    del value["metrics"]
    write_json(tmp_path / "record.json", value)
    with pytest.raises(ValueError, match=r"record\.json is damaged: metrics: missing; delete it"):
        read_record(tmp_path)
    write_json(tmp_path / "record.json", {**to_plain(make_run()), "colour": 1})
    with pytest.raises(ValueError, match="unknown field 'colour'"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"metrics": {"accuracy": "high"}}, r"is damaged: metrics\.accuracy: expected a number, got 'high'"),
        ({"metrics": [1]}, r"record\.json is damaged: metrics: expected an object, got \[1\]"),
        ({"seed": None}, r"record\.json is damaged: seed: expected a whole number, got null"),
        ({"train_seconds": "x"}, r"record\.json is damaged: train_seconds: expected a number, got 'x'"),
    ],
)
def test_record_with_values_of_another_kind(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    write_record(make_run(), tmp_path)
    write_json(tmp_path / "record.json", {**read_json(tmp_path / "record.json"), **changed})
    with pytest.raises(ValueError, match=message):
        read_record(tmp_path)


def described(run: RunRecord, file: Path) -> RunRecord:
    """The run with the digest of a file."""
    return replace(run, digests={file.name: hashlib.sha256(file.read_bytes()).hexdigest()})


def test_truncated_predictions_are_named(tmp_path: Path) -> None:
    comparison = make_comparison(tmp_path)
    folder = tmp_path / comparison.runs[0].folder
    folder.mkdir(parents=True)
    file = folder / "predictions-test.npz"
    np.savez(file, logits=np.zeros((50, 10), np.float32), labels=np.zeros(50, np.int64))
    whole = described(comparison.runs[0], file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"predictions-test.npz is damaged .*; `vsmooth evaluate .*` writes it anew"):
        comparison.predictions(whole)
    with pytest.raises(ValueError, match=r"predictions-test.npz is not a readable npz.*writes it anew"):
        comparison.predictions(described(whole, file))


def test_groups_pair_runs_by_seed(tmp_path: Path) -> None:
    comparison = make_comparison(tmp_path)
    assert [group.name for group in comparison.groups] == ["one-hot", "VS 0.3", "LS 0.1"]
    one_hot, virtual, smoothed = comparison.groups
    difference = virtual.difference(one_hot, "accuracy")
    assert difference is not None
    assert difference.seeds == 2
    assert difference.mean == pytest.approx((0.01 + 0.03) / 2)
    assert smoothed.difference(one_hot, "accuracy") is None  # no shared seed
    assert comparison.baseline_of(one_hot) is None


def test_summary_fields(tmp_path: Path) -> None:
    write_summary(make_comparison(tmp_path), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    row = summary["rows"][2]
    assert {"variant", "key", "objective", "parameter", "num_virtual", "seed", "accuracy", "ece", "nll", "brier",
            "mean_confidence", "train_seconds", "images_per_second"} <= row.keys()
    assert (row["objective"], row["parameter"], row["seed"], row["accuracy"]) == ("vs:0.3", 0.3, 1, 0.85)
    one_hot, virtual, smoothed = summary["aggregate"]
    assert one_hot["accuracy"] == {"mean": pytest.approx(0.81), "std": pytest.approx(0.02 / 2**0.5)}
    assert one_hot["difference_from_baseline"] is None
    assert one_hot["seeds"] == 2
    # No interval: one over the seeds alone would contradict the table's, which is also over the test images.
    assert virtual["difference_from_baseline"]["accuracy"] == {"mean": pytest.approx(0.02), "seeds": 2}
    assert smoothed["accuracy"]["std"] is None


def test_comparison_survives_the_disk(tmp_path: Path) -> None:
    comparison = make_comparison(tmp_path)
    for run in comparison.runs:
        write_record(run, tmp_path / run.folder)
    write_summary(comparison, tmp_path)
    found = load_comparison(tmp_path)
    assert found.runs == comparison.runs
    assert (found.command, found.environment) == ("vsmooth compare", {"torch": "2"})
    assert found.classes == ("a", "b")


def test_folder_without_a_comparison(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no summary\.json in .*; `vsmooth compare --out .*` creates it"):
        load_comparison(tmp_path)
    write_json(tmp_path / "summary.json", {"rows": []})
    with pytest.raises(ValueError, match=r"summary\.json is damaged: aggregate: missing"):
        load_comparison(tmp_path)


def test_comparison_without_runs() -> None:
    with pytest.raises(ValueError, match="at least one finished run"):
        Comparison((), "", {}, ())


def test_predictions(tmp_path: Path) -> None:
    comparison = make_comparison(tmp_path)
    run = comparison.runs[0]
    with pytest.raises(ValueError, match=r"no predictions file at .*; `vsmooth evaluate .*` writes it anew"):
        comparison.predictions(run)
    path = tmp_path / run.folder / "predictions-test.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, logits=np.eye(3, dtype=np.float32), labels=np.arange(3))
    with pytest.raises(ValueError, match=r"record.json has no digest of predictions-test.npz: an earlier vsmooth"):
        comparison.predictions(run)
    logits, labels = comparison.predictions(described(run, path))
    assert logits.shape == (3, 3)
    assert labels.tolist() == [0, 1, 2]
    path.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"is not a readable npz .*writes it anew"):
        comparison.predictions(described(run, path))


@pytest.mark.parametrize("folder", ["/tmp/elsewhere", "../elsewhere", "a/b", "a/", "..", ".", "", "a\\b", "C:x"])
def test_a_folder_that_leads_elsewhere(tmp_path: Path, folder: str) -> None:
    write_record(replace(make_run(), folder=folder), tmp_path / "run")
    message = rf"the folder of a run must be its own name, not a path, got {re.escape(repr(folder))}"
    with pytest.raises(ValueError, match=rf"run.record\.json is damaged: folder: {message}"):
        read_record(tmp_path / "run")
    write_json(tmp_path / "summary.json", {
        "rows": [{"folder": folder}], "aggregate": [], "command": "", "environment": {}, "classes": []
    })
    with pytest.raises(ValueError, match=message):
        load_comparison(tmp_path)


def test_a_record_of_another_folder(tmp_path: Path) -> None:
    write_record(replace(make_run(), folder="b"), tmp_path / "a")
    with pytest.raises(ValueError, match=r"a.record\.json is of the run b, not of a: give the folder its own name"):
        read_run(tmp_path, "a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": {**METRICS, "accuracy": 2.0}}, r"metrics: accuracy: expected a number from 0 to 1, got 2\.0"),
        ({"metrics": {**METRICS, "nll": -0.1}}, r"metrics: nll: expected a number of at least 0, got -0\.1"),
        ({"metrics": {**METRICS, "brier": 2.5}}, r"metrics: brier: expected a number from 0 to 2, got 2\.5"),
        ({"metrics": {**METRICS, "samples": None}}, r"metrics: samples: expected a number of at least 1, got null"),
        ({"history": []}, r"history must hold the epochs 1 to 1 in order, got 0"),
        ({"epochs": 2}, r"history must hold the epochs 1 to 2 in order, got 1"),
    ],
)
def test_what_cannot_be_true_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = write_record(make_run(), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=rf"record\.json is damaged: {message}"):
        read_record(tmp_path)


def test_a_metric_may_be_unknown_or_new(tmp_path: Path) -> None:
    path = write_record(make_run(), tmp_path)
    value = json.loads(path.read_text())
    value["metrics"] = {"accuracy": None, "an unheard-of metric": -7.0, "ece": 1 + 1e-9}
    path.write_text(json.dumps(value))
    found = read_record(tmp_path).metrics
    assert math.isnan(found["accuracy"])
    assert (found["an unheard-of metric"], found["ece"]) == (-7.0, 1 + 1e-9)
