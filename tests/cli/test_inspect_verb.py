"""`vsmooth inspect`, from typed words to printed tables and files, and the page that shows them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cli_builders import squeezed

from vsmooth.cli import main

FEW = ["--resamples", "40", "--samples", "2"]


def test_everything(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.load(next(runs.glob("vs-*")) / "predictions-test.npz")["labels"]
    votes = np.random.default_rng(0).integers(1, 9, (80, 4)) + 20 * np.eye(4, dtype=int)[labels]
    np.save(tmp_path / "people.npy", votes)
    options = ["--human", str(tmp_path / "people.npy"), "--virtual-templates", "--integrated"]
    assert main(["inspect", str(runs), *options, "--out", str(tmp_path / "out"), *FEW]) == 0
    captured = capsys.readouterr()
    text = squeezed(captured.out)
    assert captured.err == ""
    for words in (
        "What the virtual classes do", "VS 0.3: The virtual classes are",
        "Which similarity the labels keep", "KL(people,",
        "Compared with one-hot, VS 0.3", "The plane goes through the templates of quarter-",
        "Where the classes look", "CKA between runs",
    ):
        assert words in text
    names = ("virtual-mass", "class-similarity", "plane", "input-gradients", "integrated-gradients")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(f"{name}.{kind}" for name in names for kind in ("png", "pdf")), "inspection.md",
    }
    assert main(["report", str(runs)]) == 0
    page = (runs / "report.html").read_text()
    for title in ("Three classes on a plane", "Which similarity the labels keep", "What the virtual classes do",
                  "Where the classes look"):
        assert f"<h2>{title}</h2>" in page


def test_one_run_alone(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("vs-*")
    assert main(["inspect", str(run), "--classes", "quarter-2", "0", "1", *FEW]) == 0
    text = squeezed(capsys.readouterr().out)
    assert "The plane goes through the templates of quarter-2, quarter-0 and quarter-1" in text
    assert "Compared with one-hot" not in text
    assert "CKA" not in text
    assert {path.name for path in run.iterdir()} >= {
        "features-test.npz", "features-train.npz", "gradients.npz", "inspection.json",
    }


def test_mistakes(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("vs-*")
    np.save(tmp_path / "short.npy", np.ones((79, 4)))
    np.save(tmp_path / "other.npy", np.eye(4)[np.zeros(80, int)])
    (tmp_path / "text.npy").write_text("1 2 3")
    for words, message in (
        ([], "name a run folder"),
        ([str(tmp_path / "nowhere")], "is no run folder and holds none"),
        ([str(run), "--human", str(tmp_path / "short.npy")], r"human labels are \(79, 4\) but"),
        ([str(run), "--human", str(tmp_path / "other.npy")], r"agree with the labels of 2\d % of the images"),
        ([str(run), "--human", str(tmp_path / "none.npy")], "no file of human labels at"),
        ([str(run), "--classes", "0", "1"], "three different classes, got 0, 1"),
        ([str(run), "--samples", "81"], "samples must be 1 to 80"),
        ([str(run), "--human", str(tmp_path / "text.npy")], r"text\.npy is not a readable npy file .*: numpy\.save"),
        (
            [str(run), "--data", "embedded"],
            r"was trained on other images than fashion-mnist-subset has now; give --data with those behind '.*toy'",
        ),
    ):
        assert main(["inspect", *words]) == 2
        error = capsys.readouterr().err
        assert re.fullmatch(r"vsmooth: [^\n]+\n", error), error
        assert re.search(message, error), error
        assert "pickle" not in error
        assert "another --out" not in error
    assert not (run / "inspection.json").exists()


def test_interrupted_at_its_figures_it_has_left_its_tables(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vsmooth.report.render.markdown.save_figure", stop)
    assert main(["inspect", str(runs), "--out", str(tmp_path / "out"), *FEW]) == 130
    assert capsys.readouterr().out.splitlines()[-1] == "stopped"  # there is no checkpoint to resume from
    text = (tmp_path / "out" / "inspection.md").read_text()
    titles = "What the virtual classes do", "Which similarity the labels keep", "CKA between runs"
    assert all(f"## {title}" in text for title in titles)
