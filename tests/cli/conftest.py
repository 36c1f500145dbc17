"""Two finished runs for the verbs that read runs, and the same with everything that can be saved of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_builders import ATTACK, FEW, TINY, taught_by

from vsmooth.cli import main


@pytest.fixture(scope="session")
def trained(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    assert main(["compare", "--labels", "one-hot", "vs:0.3", "--data", str(toy_folder), "--out", str(out), *TINY]) == 0
    return out


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A copy, to write into."""
    return shutil.copytree(trained, tmp_path / "runs")


@pytest.fixture(scope="session")
def saved_whole(trained: Path, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    runs = shutil.copytree(trained, root / "runs")
    (run,) = runs.glob("vs-*")
    assert main(["inspect", str(runs), *FEW, "--samples", "2"]) == 0
    assert main(["calibrate", str(run), *FEW]) == 0
    assert main(["attack", str(run), *ATTACK]) == 0
    assert main(["distill", *taught_by(run, root, toy_folder)]) == 0
    return root


@pytest.fixture
def whole(saved_whole: Path, tmp_path: Path) -> Path:
    """`runs` with everything that can be saved of a run, and `taught` with a teacher's cached logits."""
    return shutil.copytree(saved_whole, tmp_path / "whole")
