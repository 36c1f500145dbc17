"""Two finished runs for the verbs that read runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_builders import TINY

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
