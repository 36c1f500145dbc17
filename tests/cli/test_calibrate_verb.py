"""`vsmooth calibrate`, from typed words to printed tables and files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_builders import TINY, squeezed

from vsmooth.cli import main
from vsmooth.evaluate import Predictions
from vsmooth.experiments.export import load_calibrated

FEW = ["--resamples", "40"]


@pytest.fixture(scope="module")
def trained(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of alphas."""
    out = tmp_path_factory.mktemp("grid")
    labels = ["one-hot", "ls:0.1", "ls:0.5", "vs:0.1", "vs:0.5", "vs:0.9"]
    options = ["--labels", *labels, "--validation-fraction", "0.3", "--out", str(out), *TINY]
    assert main(["compare", "--data", str(toy_folder), *options]) == 0
    return out


def test_a_grid_gives_tables_figures_and_records(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["calibrate", str(runs), "--out", str(out), *FEW]) == 0
    captured = capsys.readouterr()
    text = squeezed(captured.out)
    assert captured.err == ""
    for title in ("Calibration, error by error", "Before and after scaling", "ECE against alpha"):
        assert title in text
    names = {"reliability-1", "reliability-2", "temperature", "ece-against-alpha"}
    assert {path.name for path in out.iterdir()} == {
        *(f"{name}.{kind}" for name in names for kind in ("png", "pdf")), "calibration.md", "calibration.json",
    }
    assert (out / "temperature.pdf").read_bytes().startswith(b"%PDF")
    markdown = (out / "calibration.md").read_text()
    assert markdown.count("\n## ") == 2
    assert re.search(r"\| VS \| .*\[0\.\d{3}\]", markdown)
    assert len(list(runs.glob("*/calibration.json"))) == 6
    written = json.loads((out / "calibration.json").read_text())["labels"]
    assert list(written) == ["one-hot", "LS 0.1", "LS 0.5", "VS 0.1", "VS 0.5", "VS 0.9"]
    assert all(len(records) == 1 for records in written.values())


def test_two_alphas_are_no_grid(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(path) for label in ("one-hot", "ls-0.1", "ls-0.5") for path in runs.glob(f"{label}-seed*")]
    assert main(["calibrate", *folders, *FEW]) == 0
    assert "against alpha" not in capsys.readouterr().out


def test_bins_reach_the_table(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("one-hot-*")
    assert main(["calibrate", str(run), "--bins", "7", *FEW]) == 0
    assert "(7 bins)" in capsys.readouterr().out
    assert json.loads((run / "calibration.json").read_text())["settings"]["bins"] == 7


def test_saved_logits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(100)
    logits = torch.randn(300, 3, generator=generator) + torch.nn.functional.one_hot(labels, 3)
    Predictions(5 * logits[:150], labels[:150]).save(tmp_path / "mine.npz")
    Predictions(5 * logits[150:], labels[150:]).save(tmp_path / "validation.npz")
    assert main(["calibrate", str(tmp_path / "mine.npz"), *FEW]) == 0
    text = squeezed(capsys.readouterr().out)
    assert "mine 0." in text
    assert "no validation logits" in text
    options = ["--validation", str(tmp_path / "validation.npz"), "--out", str(tmp_path / "out"), *FEW]
    assert main(["calibrate", str(tmp_path / "mine.npz"), *options]) == 0
    (record,) = json.loads((tmp_path / "out" / "calibration.json").read_text())["labels"]["mine"]
    assert 3 < record["temperature"]["temperature"] < 10
    assert "no validation logits" not in capsys.readouterr().out


def test_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Predictions(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20)).save(tmp_path / name / "logits.npz")
    files = [str(tmp_path / name / "logits.npz") for name in ("a", "b")]
    assert main(["calibrate", *files, "--out", str(tmp_path / "out"), *FEW]) == 0
    assert list(json.loads((tmp_path / "out" / "calibration.json").read_text())["labels"]) == files


def test_shift_and_stored_temperature(
    runs: Path, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = runs.glob("vs-0.5-*")
    moved = shutil.copytree(toy_folder, tmp_path / "elsewhere")
    shift = ["--shift", "--corruptions", "contrast", "fog", "--shift-images", "30"]
    options = [*shift, "--store-temperature", "--data", str(moved), "--out", str(tmp_path / "out"), *FEW]
    assert main(["calibrate", str(run), *options]) == 0
    text = squeezed(capsys.readouterr().out)
    assert "On corrupted images" in text
    assert "severity 5" in text
    assert (tmp_path / "out" / "shift.pdf").is_file()
    assert json.loads((run / "shift.json").read_text())["images"] == 30
    record = json.loads((run / "calibration.json").read_text())
    fitted = record["temperature"]["temperature"]
    assert f"divided by {fitted:.4f}: {run / 'model-calibrated.safetensors'}" in text
    assert float(load_calibrated(run / "model-calibrated.safetensors").temperature) == pytest.approx(fitted)


@pytest.mark.parametrize("options", [[], ["--shift", "--corruptions", "fog"]])
def test_interrupted_at_its_figures_or_before_it_has_left_its_tables(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    stopped = "cli.verbs.calibrate.evaluate_shift" if options else "report.render.markdown.save_figure"
    monkeypatch.setattr(f"vsmooth.{stopped}", stop)
    assert main(["calibrate", str(runs), *options, "--out", str(tmp_path / "out"), *FEW]) == 130
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"calibration.md", "calibration.json"}
    assert "## Before and after scaling" in (tmp_path / "out" / "calibration.md").read_text()


def test_a_small_validation_split_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(200)
    logits = 5 * torch.randn(600, 3, generator=generator) + 5 * torch.nn.functional.one_hot(labels, 3)
    Predictions(logits, labels).save(tmp_path / "mine.npz")
    for count, few in ((99, True), (105, False)):
        Predictions(logits[:count], labels[:count]).save(tmp_path / "validation.npz")
        options = ["--validation", str(tmp_path / "validation.npz"), *FEW]
        assert main(["calibrate", str(tmp_path / "mine.npz"), *options]) == 0
        text = squeezed(capsys.readouterr().out)
        assert ("Caution: the validation split has 99 images, of one class only 33." in text) is few
    lean = torch.cat([(labels != 2).nonzero().flatten()[:200], (labels == 2).nonzero().flatten()[:9]])
    Predictions(logits[lean], labels[lean]).save(tmp_path / "validation.npz")
    assert main(["calibrate", str(tmp_path / "mine.npz"), *options]) == 0
    assert "has 209 images, of one class only 9." in squeezed(capsys.readouterr().out)


def test_a_long_file_name_breaks_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "logits-of-wrn-28-10-label-smoothing-with-a-very-long-name-epoch-200"
    Predictions(torch.eye(3).repeat(20, 1), torch.arange(3).repeat(20)).save(tmp_path / f"{name}.npz")
    assert main(["calibrate", str(tmp_path / f"{name}.npz"), "--out", str(tmp_path / "out"), *FEW]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("│ log") and "…" in line]
    assert len(rows) == 2  # one in each table
    assert all("200" in row for row in rows)
    numbers = r"\d\.\d{3}"
    assert re.fullmatch(rf"│ \S+ +(│ +{numbers} ){{5}}│", rows[0])
    index = lines.index(rows[0])
    assert re.fullmatch(rf"│ +(│ +({numbers}–{numbers})? +){{5}}│", lines[index + 1])
    assert name in (tmp_path / "out" / "calibration.md").read_text()
    assert list(json.loads((tmp_path / "out" / "calibration.json").read_text())["labels"]) == [name]


def assert_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"vsmooth: [^\n]+\n", error), error
    assert re.search(message, error), error


def test_mistakes(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("one-hot-*")
    logits = run / "predictions-test.npz"
    with np.load(logits) as arrays:
        np.savez(tmp_path / "nan.npz", logits=np.full_like(arrays["logits"], np.nan), labels=arrays["labels"])
    for words, message in (
        ([], "name a run folder"),
        ([str(tmp_path)], "is no run folder and holds none|holds none"),
        ([str(tmp_path / "nan.npz")], r"nan\.npz: logits of sample 0 hold NaN or Inf"),
        ([str(tmp_path / "none.npz")], r"no predictions file at .*none\.npz"),
        ([str(run), str(logits)], "calibrate them separately"),
        ([str(run), "--validation", str(logits)], "--validation is for saved logits"),
        ([str(logits), str(logits), "--validation", str(logits)], "calibrate one at a time"),
        ([str(logits), "--shift"], "need a run: saved logits have neither images nor weights"),
        ([str(run), "--bins", "0"], "bins must be a whole number of at least 1, got 0"),
        ([str(run), "--resamples", "10"], "a 95% interval needs at least 40 resamples, got 10"),
        ([str(run), "--level", "95"], "level must lie between 0 and 1, got 95"),
        ([str(run), "--shift", "--corruptions", "fgo", *FEW], "unknown corruption 'fgo'"),
        ([str(run), "--shift", "--data", "embedded", *FEW], "was trained on other images .*; give --data with those"),
    ):
        assert_one_line(capsys, ["calibrate", *words], message)
    (run / "record.json").unlink()
    assert_one_line(capsys, ["calibrate", str(run)], "is not finished: run the command that began it again")


def test_options_of_shift_are_refused_without_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["calibrate", str(tmp_path), "--corruptions", "fog"]) == 2
    assert "--corruptions and --shift-images need --shift: add it, or leave them out" in capsys.readouterr().err
