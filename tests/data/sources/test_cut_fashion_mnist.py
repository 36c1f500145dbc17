"""The script that cuts the embedded set, on made-up IDX files."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_builders import write_idx

from vsmooth.data.sources.embedded import load_embedded

SCRIPT = Path(__file__).parents[3] / "scripts" / "cut_fashion_mnist.py"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for prefix in ("train", "t10k"):
        labels = generator.permutation(np.arange(200) % 10)
        images = generator.integers(0, 256, (200, 28, 28))
        # The first pixel tells the class, so that a test can check that images and labels stay together.
        images[:, 0, 0] = labels
        for name, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
            write_idx(tmp_path / "idx" / name, array)
            (tmp_path / "idx" / f"{name}.gz").write_bytes(
                gzip.compress((tmp_path / "idx" / name).read_bytes())
            )
    return tmp_path / "idx"


def run(source: Path, target: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(source), str(target), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_cut_is_balanced_and_repeatable(source: Path, tmp_path: Path) -> None:
    options = ("--train-per-class", "10", "--test-per-class", "5")
    targets = [tmp_path / "one", tmp_path / "two"]
    for target in targets:
        assert run(source, target, *options).returncode == 0
    for name in ("train.png", "test.png", "manifest.json"):
        assert (targets[0] / name).read_bytes() == (targets[1] / name).read_bytes()
    dataset = load_embedded(targets[0])
    assert dataset.train.labels.bincount().tolist() == [10] * 10
    assert dataset.test.labels.bincount().tolist() == [5] * 10
    for split in (dataset.train, dataset.test):
        assert split.images[:, 0, 0, 0].tolist() == split.labels.tolist()


def test_counts_that_do_not_fill_a_row(source: Path, tmp_path: Path) -> None:
    result = run(source, tmp_path / "out", "--train-per-class", "3")
    assert result.returncode == 2
    assert "3 images of 10 classes do not fill rows of 50 tiles" in result.stderr
