"""``vsmooth distill`` from typed words to files and one-line mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tyro

from vsmooth.cli import main
from vsmooth.cli.parsing import parse
from vsmooth.cli.verbs.distill import Distill
from vsmooth.experiments.run import read_spec
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.losses import Divergence

TINY = ["--epochs", "1", "--batch-size", "36", "--precision", "fp32"]


@pytest.fixture(scope="module")
def teachers(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    out = tmp_path_factory.mktemp("teachers")
    labels = ["--labels", "one-hot", "vs:0.3", "--out", str(out)]
    assert main(["compare", "--data", str(toy_folder), *TINY, *labels]) == 0
    return [str(path.parent) for path in sorted(out.glob("*/record.json"))]


def named(teachers: list[str]) -> list[str]:
    return [word for teacher in teachers for word in ("--teacher", teacher)]


def test_distill_writes_runs_summary_and_page(
    teachers: list[str], toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["distill", *named(teachers), "--student", "resnet8", "--data", str(toy_folder), *TINY]
    words += ["--crop-padding", "1", "--cache-teacher", "2", "--gamma", "0.9", "--tau", "4", "--out", str(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "plain, seed 0: epoch 1/1" in out
    assert "KD from one-hot, seed 0: the teacher looks at view 1 of 2; its logits are kept in" in out
    assert "KD from VS 0.3, seed 0: epoch 1/1" in out
    assert out.splitlines()[-1] == f"Page with pictures: {tmp_path / 'report.html'}"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [row.get("teacher") for row in summary["rows"]] == [None, "one-hot", "VS 0.3"]
    assert {row["model"] for row in summary["rows"]} == {"resnet8"}
    taught = read_spec(tmp_path / summary["rows"][2]["folder"]).method
    assert isinstance(taught, Distillation)
    assert (taught.gamma, taught.divergence, taught.views) == (0.9, Divergence(tau=4.0), 2)
    page = (tmp_path / "report.html").read_text()
    assert "Which teacher teaches best?" in page
    assert main(words) == 0  # nothing is trained
    assert "epoch" not in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()  # with the time of the second command
    (tmp_path / "report.html").unlink()
    assert main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").read_text() == page


def test_a_dry_run_counts_the_students_and_writes_nothing(
    teachers: list[str],
    toy_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["distill", *named(teachers), "--data", str(toy_folder), *TINY, "--seeds", "2", "--dry-run"]
    assert main([*words, "--cache-teacher", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("network        small: ") for line in lines) == 1
    taught = r"taught         by (.+): \d+ steps in .+ s \(.+ images/s\), \d+ % of the time the teacher's; "
    taught += r"one run about .+ s with its logits kept for 3 views of each image"
    assert [found[1] for line in lines if (found := re.fullmatch(taught, line))] == ["one-hot", "VS 0.3"]
    plan = r"distillation   \(plain \+ 2 taught\) x 2 seeds: 6 runs, about .+ s if none is finished yet"
    assert re.fullmatch(plan, lines[-2])
    assert lines[-1].startswith("dry run: ")
    assert not list(tmp_path.iterdir())
    assert main([*words, "--logits", "all"]) == 2  # as the run would
    assert "one-hot has no virtual classes: teach its real logits" in capsys.readouterr().err


def test_fewer_teachers_than_before_are_told(
    teachers: list[str], toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(toy_folder), *TINY, "--crop-padding", "0", "--out", str(tmp_path)]
    assert main(["distill", *named(teachers), *words]) == 0
    assert "no longer in table" not in capsys.readouterr().out
    assert main(["distill", *named(teachers[:1]), *words]) == 0
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if "no longer in table" in line)
    assert "KD from VS 0.3 (seed 0). These runs are kept" in line
    assert "Teacher's" in out


def test_student_of_a_student(teachers: list[str], toy_folder: Path, tmp_path: Path) -> None:
    words = ["--data", str(toy_folder), *TINY, "--crop-padding", "0", "--out"]
    assert main(["distill", "--teacher", teachers[1], *words, str(tmp_path / "first")]) == 0
    (student,) = (path.parent for path in (tmp_path / "first").glob("kd-one-hot-*/record.json"))
    assert main(["distill", "--teacher", str(student), *words, str(tmp_path / "second")]) == 0
    rows = json.loads((tmp_path / "second" / "summary.json").read_text())["rows"]
    assert rows[1]["teacher"] == "KD from VS 0.3"


def test_options_reach_the_method() -> None:
    words = ["distill", "--teacher", "a", "--teacher", "b", "--divergence", "decoupled", "--target-weight", "2"]
    command = parse([*words, "--other-weight", "3", "--logits", "all", "--cache-teacher", "5", "--cache-top-k", "7"])
    assert isinstance(command, Distill)
    assert command.teacher == ("a", "b")
    assert command.settings() == Distillation("", 1.0, Divergence("decoupled", 30.0, 2.0, 3.0), "all", 5, 7)
    recipe = parse(["distill", "--recipe", "cifar10-resnet18", "--student", "mobilenet-v2"])
    assert isinstance(recipe, Distill)
    assert (recipe.setting.model, recipe.setting.epochs, recipe.setting.data) == ("mobilenet-v2", 200, "cifar10")


def test_help_and_its_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["distill", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for phrase in (
        "Example: vsmooth distill --teacher",
        "--student STR",
        "weight of the divergence from the teacher, 0..1; the student's own cross entropy weighs 1 - gamma (default: 1",
        "temperature of both softmaxes (kd: 30, ard: 1",
        "a run folder, timm:NAME (pretrained), or an npz file",
    ):
        assert phrase in text
    assert "--model" not in text
    (example,) = (line for line in (Distill.__doc__ or "").splitlines() if "Example:" in line)
    tyro.cli(Distill, args=example.split()[3:], config=(tyro.conf.OmitArgPrefixes,))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is no teacher: give --teacher with a run folder"),
        (["--teacher", "nowhere"], "the teacher nowhere does not exist"),
        (["--teacher", "x", "--tau", "0"], "the temperature tau must be positive and finite, got 0.0"),
        (["--teacher", "x", "--gamma", "1.1"], "must be in [0, 1], got 1.1"),
        (["--teacher", "x", "--seeds", "0"], "seeds must be at least 1"),
        (["--teacher", "x", "--label", "vs:auto"], "'vs:auto' asks for a choice on validation data"),
        (["--teacher", "x", "--cache-top-k", "3"], "give the number of its views too"),
        (["--teacher", "x", "--cache-teacher", "2", "--mixup", "0.8"], "no saved logits are for: leave them out"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["distill", *words, "--data", str(toy_folder), *TINY, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("vsmooth: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_teacher_of_other_classes(teachers: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", *named(teachers), *TINY, "--out", str(tmp_path / "out")]) == 2
    assert "knows 4 classes, fashion-mnist-subset has 10: a student learns from" in capsys.readouterr().err
