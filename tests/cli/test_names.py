"""Names of classes, data and teachers that are formulas to matplotlib, markup to a browser, or no text at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vsmooth.cli import main

NAMES = ["$x_{", "a $ and $\\frac$", "<b>&amp;", "$$"]


def test_a_page_with_dollars_in_its_names(saved_whole: Path, tmp_path: Path) -> None:
    root = shutil.copytree(saved_whole, tmp_path / "whole")
    (taught,) = (root / "taught").glob("kd-*/record.json")
    record = json.loads(taught.read_text())
    record["variant"]["teacher"]["name"] = "cost $x_{ of"
    taught.write_text(json.dumps(record))
    for name in ("runs", "taught"):
        summary = root / name / "summary.json"
        summary.write_text(json.dumps({**json.loads(summary.read_text()), "classes": NAMES}))
        assert main(["report", str(root / name)]) == 0
    page = (root / "taught" / "report.html").read_text()
    assert "cost $x_{ of" in page
    both = page + (root / "runs" / "report.html").read_text()
    assert "<b>&amp;" not in both
    assert "mathdefault" not in both  # no axis asked for a formula


@pytest.mark.parametrize("option", ["--data", "--teacher"])
def test_a_path_that_is_no_text(
    saved_whole: Path, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (run,) = (saved_whole / "runs").glob("vs-*")
    words = {"--data": str(toy_folder), "--teacher": str(run)} | {option: str(tmp_path / "caf\udce9")}
    typed = [part for pair in words.items() for part in pair]
    assert main(["distill", *typed, "--student", "small", "--epochs", "1", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "is not valid Unicode text, got" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()
