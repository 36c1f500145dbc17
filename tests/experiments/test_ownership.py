"""Who may write a folder: one owner, told by name to others, also where it died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vsmooth.experiments.ownership import LOCK_FILE, owned

HOLD = """
import sys
from pathlib import Path
from vsmooth.experiments.ownership import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """Another process that owns ``folder`` until its input ends."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("end", [subprocess.Popen.communicate, subprocess.Popen.kill])
def test_a_living_owner_is_respected_and_a_dead_one_replaced(
    tmp_path: Path, end: Callable[[subprocess.Popen[str]], object]
) -> None:
    folder = tmp_path / "run"
    other = hold(folder)
    words = rf"is in use by process {other.pid} on .* since .* UTC; wait until it ends, or choose another --out"
    with pytest.raises(ValueError, match=words), owned(folder):
        pass
    end(other)
    other.wait()
    with owned(folder):
        assert json.loads((folder / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.glob("run/*")) == []


def test_the_lock_of_another_host_is_left_and_its_removal_told(tmp_path: Path) -> None:
    left = json.dumps({"host": "elsewhere", "pid": 7, "since": "2026-01-02 03:04 UTC"})
    (tmp_path / LOCK_FILE).write_text(left)
    words = (
        f"was taken by process 7 on elsewhere since 2026-01-02 03:04 UTC and not given back; if that process no longer "
        f"runs, delete {tmp_path / LOCK_FILE}"
    )
    for _ in range(2):
        with pytest.raises(ValueError, match=words), owned(tmp_path):
            pass
        assert (tmp_path / LOCK_FILE).read_text() == left


def test_an_owner_may_own_again_and_lets_go_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with owned(tmp_path, tmp_path / "made" / "within"):
            assert (tmp_path / "made" / "within" / LOCK_FILE).is_file()
        assert (tmp_path / LOCK_FILE).is_file()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), owned(tmp_path):
        fail()
    assert list(tmp_path.iterdir()) == []  # nor is there what was made for the lock alone


def test_what_a_killed_writer_left_is_removed_here_and_not_within(tmp_path: Path) -> None:
    within = tmp_path / "run" / ".record.json.5.partial"
    within.parent.mkdir()
    for partial in (tmp_path / ".summary.json.5.partial", within):
        partial.write_text("{")
    with owned(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert within.is_file()
