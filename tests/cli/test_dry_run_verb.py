"""`--dry-run`: what is printed, and that nothing is written."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from vsmooth.cli import main
from vsmooth.cli.dry_run import duration_text, print_dry_run
from vsmooth.experiments.dry_run import DryRun
from vsmooth.experiments.specs.run_spec import RunSpec

TINY = ["--epochs", "4", "--batch-size", "36", "--precision", "fp32"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_train_says_what_it_would_be(toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--label", "vs:0.3", "--schedule", "step", "--learning-rate", "0.2", "--out", str(tmp_path / "out")]
    assert main(["train", "--dry-run", "--data", str(toy_folder), *TINY, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    network = r"network        small: [\d,]+ parameters, \d+ of them virtual \(in training only\)"
    assert any(re.fullmatch(network, line) for line in lines)
    assert "training       144 images, 16 held out; 4 steps of 36 per epoch, 4 epochs, 16 optimizer steps" in lines
    assert "learning rate  sgd, step, logarithmic scale" in lines
    start = lines.index("learning rate  sgd, step, logarithmic scale") + 1
    curve = lines[start : start + 8]
    assert curve[0].startswith("    0.2 │" + "█" * 30)
    assert curve[5].startswith("  0.002 │" + "█" * 45)
    assert curve[7].split() == ["epoch", "1", "4"]
    assert any(re.fullmatch(r"timed          10 steps in [\d.]+ s \([\d,]+ images/s\), CPU .*, fp32", x) for x in lines)
    assert any(re.fullmatch(r"one run        about .+ s, .+ s of it for evaluation", x) for x in lines)
    assert any(re.fullmatch(r"memory         \d+\.\d\d GiB, peak of the whole process.*", x) for x in lines)
    assert lines[-1].startswith("dry run: ")
    assert not list(tmp_path.iterdir())


def test_decoding_that_cannot_keep_up_is_said() -> None:
    found = DryRun(
        device="GPU",
        processes=2,
        parameters=1000,
        virtual_parameters=0,
        train_images=400,
        validation_images=40,
        steps_per_epoch=10,
        optimizer_steps=40,
        learning_rates=(0.1, 0.0),
        timed_steps=10,
        timed_seconds=2.0,
        teacher_seconds=0.0,
        kept_views=None,
        decoding_seconds=0.5,
        train_seconds=20.0,
        evaluation_seconds=1.0,
        memory_bytes=3 << 29,
        memory="peak of the tensors on the GPU",
    )
    file = io.StringIO()
    console = Console(file=file, width=200, color_system=None)
    print_dry_run(found, RunSpec("folder", "small", epochs=4, batch_size=40), console)
    lines = file.getvalue().splitlines()
    assert "network        small: 1,000 parameters" in lines
    assert "learning rate  sgd, one-cycle" in lines
    assert "timed          10 steps in 2.00 s (200 images/s), GPU, 2 processes, fp32" in lines
    remedy = "longer than the training itself: raise --workers or use more cores"
    assert f"data           decoding takes 0.50 s per step, {remedy}" in lines
    assert "one run        about 21 s, 1.0 s of it for evaluation" in lines
    assert "memory         1.50 GiB, peak of the tensors on the GPU" in lines
    print_dry_run(replace(found, decoding_seconds=0.1), RunSpec("folder", "small"), console)
    assert file.getvalue().count("decoding takes") == 1


def test_compare_counts_its_runs(toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["--labels", "one-hot", "ls:0.1", "vs:0.3:8", "--seeds", "2"]
    assert main(["compare", "--dry-run", "--data", str(toy_folder), *TINY, *labels]) == 0
    lines = capsys.readouterr().out.splitlines()
    plan = r"comparison     3 labels x 2 seeds: 6 runs, about .* if none is finished yet"
    assert any(re.fullmatch(plan, line) for line in lines)
    assert "virtual (in training only)" in lines[1]  # the widest of the labels is timed
    assert not list(tmp_path.iterdir())


def test_one_of_a_kind_is_singular(toy_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(toy_folder), "--labels", "one-hot", *TINY, "--epochs", "1"]
    assert main(["compare", "--dry-run", *words]) == 0
    text = capsys.readouterr().out
    assert "4 steps of 36 per epoch, 1 epoch, 4 optimizer steps" in text
    assert "1 label x 1 seed: 1 run, about " in text


def test_compare_counts_the_candidates_of_an_alpha(toy_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["--labels", "one-hot", "vs:auto", "--seeds", "2"]
    assert main(["compare", "--dry-run", "--data", str(toy_folder), *TINY, *labels]) == 0
    text = capsys.readouterr().out
    assert "2 labels x 2 seeds: at most 7 runs, at most " in text  # 2 one-hot, 4 candidates, 1 chosen


def test_mistakes_are_found_as_in_a_run(toy_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = ["--learning-rate", "1000", "--weight-decay", "100", "--schedule", "constant"]
    for options, message in (
        (["--batch-size", "1000"], "batch_size 1000 is larger than the split of 144 images"),
        (["--model", "resnet-20"], "unknown model 'resnet-20'"),
        (wild, "the loss is (nan|inf) at epoch 1, step"),
    ):
        assert main(["train", "--dry-run", "--data", str(toy_folder), *TINY, *options]) == 2
        error = capsys.readouterr().err
        assert re.search(message, error), error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (59.7, "1 min"),
        (90, "1 min 30 s"),
        (7200, "2 h"),
        (7500, "2 h 5 min"),
        (86400 * 3 + 3600 * 4 + 59, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
