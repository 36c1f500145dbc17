"""Terminals, pipes and environments that are not what they should be: they cost characters, not work."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_builders import TINY

from vsmooth.cli import main


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_without_unicode_loses_characters_only(
    runs: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    page = runs / "report.html"
    page.unlink()
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["report", str(runs)]) == 0
    stream.seek(0)
    printed = stream.read()
    assert page.stat().st_size > 1000
    assert "one-hot" in printed
    assert f"Page with pictures: {page}" in printed
    assert "[-" in printed  # the minus and the dagger of the intervals had to be replaced
    assert "\\u" not in printed


@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
@pytest.mark.parametrize("size", ["0", "1", "-5", "abc", "99999999999999999999"])
def test_sizes_that_no_terminal_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, size: str
) -> None:
    monkeypatch.setenv(name, size)
    assert main(["recipes"]) == 0
    assert "cifar100-resnext29" in capsys.readouterr().out


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"])
@pytest.mark.parametrize("value", ["abc", "1.5", "-1", ""])
def test_ranks_that_are_no_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["recipes"]) == 2
    found = capsys.readouterr()
    assert found.err == (
        f"vsmooth: the environment has {variable}={value!r}, where torchrun and accelerate launch set a whole number: "
        "start with one of them, or unset it\n"
    )
    assert found.out == ""


def test_a_training_outlives_its_reader(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `vsmooth train | head` does to it: the other end of the pipe is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["train", "--data", str(toy_folder), "--out", str(tmp_path), *TINY]) == 0
    (folder,) = tmp_path.iterdir()
    assert (folder / "record.json").is_file()
    told = "vsmooth: standard output is lost (Broken pipe): the command goes on without it\n"
    assert capsys.readouterr().err == told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["recipes"]) == 0
    assert capsys.readouterr().err.startswith("vsmooth: standard output is lost (No space left on device)")


def test_interrupt_while_torch_is_imported() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "vsmooth", "recipes"]  # tells on stderr what it has imported
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "torch." in line:
            process.send_signal(signal.SIGINT)
            break
    lines = [line for line in process.stderr.read().splitlines() if not line.startswith("import time:")]
    assert process.wait(timeout=60) == 130
    assert lines == ["vsmooth: stopped before anything began"]
