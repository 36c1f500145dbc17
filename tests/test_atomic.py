"""A disk that is full: the error names the file and the remedy, whatever writes, and the old file is still there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vsmooth.atomic import WriteError, replacing
from vsmooth.train import save_weights

BYTES = 100_000  # that a file may have here


def write_text(path: Path) -> None:
    path.write_text("x" * 10 * BYTES)


def write_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, values=np.zeros(BYTES))


def write_tensors(path: Path) -> None:
    save_file({"values": torch.zeros(BYTES)}, path)


LIMITED = f"""
import resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, ({BYTES}, {BYTES}))
for name in ("write_text", "write_npz", "write_tensors"):
    path = Path(sys.argv[1]) / name
    path.write_text("old")
    try:
        with test_atomic.replacing(path) as partial:
            getattr(test_atomic, name)(partial)
    except test_atomic.WriteError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of a file")
def test_every_writer_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    """The limit of the system on a file's size stands for a full disk: real errors of all three writers."""
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=120)
    names = ["write_text", "write_npz", "write_tensors"]
    reason = f"{os.strerror(errno.EFBIG)}; the file system or `ulimit -f` allows no file so large: "
    expected = [f"cannot write {tmp_path / name}: {reason}choose another folder, or raise the limit" for name in names]
    assert done.stdout.splitlines() == expected, done.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names, "old")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space, or choose another folder"),
        (errno.EDQUOT, "free space, or choose another folder"),
        (errno.EACCES, "fix its permissions, or choose another folder"),
    ],
)
def test_remedy_fits_the_reason(tmp_path: Path, number: int, remedy: str) -> None:
    with pytest.raises(WriteError) as caught, replacing(tmp_path / "file"):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"cannot write {tmp_path / 'file'}: {os.strerror(number)}; {remedy}"
    assert caught.value.errno == number
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(WriteError, match=r"cannot write .*taken.inside.file: (Not a directory|File exists); fix its"):
        save_weights(tmp_path / "taken" / "inside" / "file", {"a": torch.zeros(1)})


def test_an_error_that_is_no_failed_write_passes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^mine$"), replacing(tmp_path / "file"):
        raise ValueError("mine")
