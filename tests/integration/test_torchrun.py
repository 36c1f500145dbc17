"""The command line under torchrun: two processes make one run, and only the first one talks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vsmooth.cli import main

DRIVER = Path(__file__).with_name("torchrun_driver.py")
ARGUMENTS = ["train", "--data", "embedded", "--train-limit", "600", "--epochs", "2", "--label", "vs:0.3"]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A training by two processes on the embedded images, and what it printed."""
    out = tmp_path_factory.mktemp("launched")
    return out, launch("-m", "vsmooth", *ARGUMENTS, "--out", str(out))


def launch(*program: str) -> subprocess.CompletedProcess[str]:
    """Two processes of one program on the CPU."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *program]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)


def test_two_processes_make_one_run(launched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, process = launched
    assert process.returncode == 0, process.stderr
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    record = json.loads((folder / "record.json").read_text())
    assert record["metrics"]["samples"] == 2000
    assert len(record["history"]) == 2
    assert not (folder / "checkpoints").exists()
    assert process.stdout.count("vs:0.3, seed 0: epoch 2/2") == 1
    assert process.stdout.count("accuracy  ") == 1


def test_one_process_reads_it_back(
    launched: tuple[Path, subprocess.CompletedProcess[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is that of the same command without torchrun: nothing is trained again."""
    out, _ = launched
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert main([*ARGUMENTS, "--out", str(out)]) == 0
    assert "epoch" not in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux names them")
def test_no_thread_of_the_connection_outlives_the_command(tmp_path: Path) -> None:
    """One that does may abort the process while the interpreter shuts down."""
    arguments = ["train", "--data", "embedded", "--train-limit", "200", "--epochs", "1", "--out", str(tmp_path)]
    process = launch(str(DRIVER), *arguments)
    assert process.returncode == 0, process.stderr
    assert process.stderr.count("threads of gloo: 0") == 2, process.stderr
