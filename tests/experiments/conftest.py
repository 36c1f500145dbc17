"""Finished runs on the toy data: one label each, one seed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vsmooth.data import Dataset
from vsmooth.experiments.compare import ComparePlan, compare
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.losses.catalogue import parse_objective

PLAN = ComparePlan(
    RunSpec("toy", "small", epochs=2, batch_size=32, validation_fraction=0.3),
    tuple(parse_objective(text) for text in ("one-hot", "ls:0.2", "vs:0.3:3")),
    seeds=(0,),
)


@pytest.fixture(scope="session")
def _trained(toy_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("compared")
    compare(PLAN, toy_dataset, directory, "vsmooth compare")
    return directory


@pytest.fixture
def compared(_trained: Path, tmp_path: Path) -> Path:
    """A directory with one-hot, LS 0.2 and VS 0.3 (V = 3), to write to."""
    return shutil.copytree(_trained, tmp_path / "compared")


@pytest.fixture
def run_of(compared: Path) -> dict[str, Path]:
    """The run folders by the first letters of their label: "one", "ls", "vs"."""
    return {path.name.partition("-")[0]: path for path in compared.glob("*-seed0-*")}
