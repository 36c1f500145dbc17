"""Every verb, from typed words to exit status and printed lines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from vsmooth.cli import main
from vsmooth.experiments import run as run_module
from vsmooth.experiments.ownership import LOCK_FILE

TINY = ["--epochs", "1", "--batch-size", "36", "--precision", "fp32"]


@pytest.fixture(scope="module")
def comparison(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labels, two seeds; below a long path with brackets, which must be printed whole."""
    out = (
        tmp_path_factory.mktemp("a")
        / "[red] folder whose name is longer than a line of eighty characters is wide, on purpose"
    )
    arguments = ["--labels", "one-hot", "vs:0.3", "--seeds", "2", "--out", str(out)]
    assert main(["compare", "--data", str(toy_folder), *TINY, *arguments]) == 0
    return out


def run_folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/record.json"))


def test_compare_writes_runs_summary_and_page(comparison: Path) -> None:
    names = [path.name.rsplit("-", 1)[0] for path in run_folders(comparison)]
    assert names == ["one-hot-seed0", "one-hot-seed1", "vs-0.3-seed0", "vs-0.3-seed1"]
    summary = json.loads((comparison / "summary.json").read_text())
    assert [(row["objective"], row["seed"]) for row in summary["rows"]] == [
        ("one-hot", 0),
        ("vs:0.3", 0),
        ("one-hot", 1),
        ("vs:0.3", 1),
    ]
    assert summary["command"].startswith("vsmooth compare --data ")
    assert summary["command"].endswith("purpose'")  # quoted: it can be pasted
    assert "<html" in (comparison / "report.html").read_text()


def test_compare_again_prints_the_table_and_whole_paths(
    comparison: Path, toy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is trained, and labels can be added."""
    labels = ["--labels", "one-hot", "vs:0.3", "--seeds", "2", "--out", str(comparison)]
    assert main(["compare", "--data", str(toy_folder), *TINY, *labels]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == "toy: 160 train and 80 test images, 1x8x8, 4 classes"
    assert lines[-1] == f"Page with pictures: {comparison / 'report.html'}"
    assert "epoch" not in captured.out
    assert any("VS 0.3" in line for line in lines)


def test_report_rebuilds_the_page(comparison: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = comparison / "report.html"
    page.unlink()
    assert main(["report", str(comparison)]) == 0
    assert page.is_file()
    assert f"Page with pictures: {page}" in capsys.readouterr().out.splitlines()


def test_evaluate_prints_the_metrics_of_the_record(
    comparison: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folders(comparison)[2]
    record = json.loads((folder / "record.json").read_text())
    assert main(["evaluate", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"VS 0.3, seed 0: {folder}"
    assert f"  accuracy         {record['metrics']['accuracy']:.4f}" in lines
    assert "  samples          80" in lines
    assert json.loads((folder / "record.json").read_text()) == record


def test_evaluate_finds_images_that_were_moved(
    comparison: Path, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folders(comparison)[0]
    moved = shutil.copytree(toy_folder, tmp_path / "elsewhere")
    assert main(["evaluate", str(run), "--data", str(moved)]) == 0
    assert main(["evaluate", str(run), "--data", "embedded"]) == 2
    assert "was trained on other images" in capsys.readouterr().err


def test_what_writes_a_folder_that_another_process_owns_changes_nothing(
    comparison: Path, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fcntl = pytest.importorskip("fcntl")
    out = shutil.copytree(comparison, tmp_path / "out")
    run = str(run_folders(out)[-1])
    (Path(run) / "predictions-test.npz").unlink()
    compare = ["compare", "--labels", "one-hot", "--data", str(toy_folder), "--out", str(out), *TINY]
    for folder, command in (
        (run, ["evaluate", run]),
        (run_folders(out)[1], ["calibrate", str(run_folders(out)[1])]),
        (run_folders(out)[1], ["inspect", str(out)]),
        (out, compare),
    ):
        with Path(folder, LOCK_FILE).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
            assert main(command) == 2, command
            assert f"{folder} is in use by another process; wait until it ends" in capsys.readouterr().err
            assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert main(["evaluate", run]) == 0


def test_train_logs_an_epoch_and_its_metrics(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--label", "ls:0.1", "--seed", "3", "--out", str(tmp_path), *TINY, "--epochs", "2"]
    assert main(["train", "--data", str(toy_folder), *options]) == 0
    (folder,) = run_folders(tmp_path)
    assert folder.name.startswith("ls-0.1-seed3-")
    lines = capsys.readouterr().out.splitlines()
    assert f"LS 0.1, seed 3: {folder}" in lines
    last = next(
        line for line in lines if "epoch 2/2" in line
    )  # a whole line, though longer than 80 characters
    assert last.startswith("ls:0.1, seed 3: epoch 2/2  loss ")
    assert last.endswith(" images/s")


def test_options_reach_the_spec(toy_folder: Path, tmp_path: Path) -> None:
    options = [
        *("--label", "one-hot", "--optimizer", "adamw", "--learning-rate", "0.01", "--schedule", "step"),
        *(
            "--milestones",
            "0.3",
            "0.6",
            "--no-nesterov",
            "--no-flip",
            "--crop-padding",
            "1",
            "--ema-decay",
            "0.9",
        ),
        *("--clip-norm", "1", "--accumulate", "2", "--train-limit", "80", "--validation-fraction", "0.25"),
    ]
    assert (
        main(
            [
                "train",
                "--data",
                str(toy_folder),
                "--out",
                str(tmp_path),
                *TINY,
                *options,
                "--batch-size",
                "30",
            ]
        )
        == 0
    )
    (folder,) = run_folders(tmp_path)
    spec = run_module.read_spec(folder)
    assert spec.objective.kind == "one-hot"
    assert (spec.batch_size, spec.train_limit, spec.validation_fraction, spec.precision) == (
        30,
        80,
        0.25,
        "fp32",
    )
    optimization = spec.optimization
    assert (optimization.optimizer, optimization.learning_rate, optimization.schedule) == (
        "adamw",
        0.01,
        "step",
    )
    assert (optimization.milestones, optimization.nesterov, optimization.accumulate) == ((0.3, 0.6), False, 2)
    assert (optimization.clip_norm, optimization.ema_decay) == (1.0, 0.9)
    assert (spec.augmentation.flip, spec.augmentation.crop_padding) == (False, 1)


def test_precision_is_the_machines_best_unless_asked_for(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsmooth.train.hardware.best_precision", lambda: "bf16")
    options = ["--epochs", "1", "--batch-size", "36", "--label", "one-hot"]
    assert main(["train", "--data", str(toy_folder), "--out", str(tmp_path), *options]) == 0
    (folder,) = run_folders(tmp_path)
    assert run_module.read_spec(folder).precision == "bf16"


def test_auto_alpha_is_shown_on_the_page(toy_folder: Path, tmp_path: Path) -> None:
    out = ["--labels", "vs:auto", "--out", str(tmp_path)]
    assert main(["compare", "--data", str(toy_folder), *TINY, *out]) == 0
    assert len(run_folders(tmp_path)) == 4
    (row,) = json.loads((tmp_path / "summary.json").read_text())["rows"]
    chosen = json.loads((tmp_path / row["folder"] / "record.json").read_text())
    tried = chosen["selected_from"]
    best = min(tried, key=lambda entry: entry["nll"])
    assert chosen["variant"]["objective"]["parameter"] == best["parameter"]
    page = (tmp_path / "report.html").read_text()
    assert all(f"{entry['nll']:.3f}" in page for entry in tried)


def test_each_run_keeps_its_own_environment(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--data", str(toy_folder), "--out", str(tmp_path), *TINY]
    monkeypatch.setattr("torch.get_num_threads", lambda: 7)
    assert main(["train", "--label", "one-hot", *options]) == 0
    monkeypatch.setattr("torch.get_num_threads", lambda: 9)
    assert main(["compare", "--labels", "one-hot", "vs:0.3", *options]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [[sitting["threads"] for sitting in row["environments"]] for row in summary["rows"]] == [["7"], ["9"]]
    assert {"vsmooth", "torch", "device", "processor", "date"} <= summary["rows"][0]["environments"][0].keys()
    assert summary["environment"]["torch"] == torch.__version__
    assert "threads" not in summary["environment"]
    page = (tmp_path / "report.html").read_text().replace("\xa0", " ")
    assert "The runs differ in threads: 7 (one-hot seed 0); 9 (VS 0.3 seed 0)." in page


def test_interrupt_says_how_to_go_on(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C outside the training steps, where nothing holds it back: before them, and in the final evaluation."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    command = ["train", "--label", "one-hot", "--data", str(toy_folder), "--out", str(tmp_path / "out"), *TINY]
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "prepare", interrupt)
        assert main(command) == 130
    first = "stopped; this run has no checkpoint yet, so the same command begins it again"
    assert capsys.readouterr().out.splitlines()[-1] == first
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "evaluate_split", interrupt)
        assert main(command) == 130
    last = "stopped; run the same command again to resume from the last checkpoint"
    assert capsys.readouterr().out.splitlines()[-1] == last
    monkeypatch.setattr("vsmooth.train.loop.Trainer.train_step", interrupt)  # nothing is trained again
    assert main(command) == 0
    assert "one-hot, seed 0: resuming after the last epoch" in capsys.readouterr().out.splitlines()
