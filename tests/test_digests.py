"""Digests against hashlib and `sha256sum`, and what is said of files that are others."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vsmooth.digests import DamagedFileError, check_digest, check_written, digest_file, digest_of, write_digest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(bytes(range(256)) * 5000)
    return path


def test_digest_of_a_file(file: Path) -> None:
    assert digest_of(file) == hashlib.sha256(bytes(range(256)) * 5000).hexdigest()


def test_what_was_written_is_read(file: Path) -> None:
    assert check_digest(file, {file.name: digest_of(file)}, file.with_name("record.json"), "-") == file
    write_digest(file)
    assert check_written(file, "-") == file
    if shutil.which("sha256sum"):
        found = subprocess.run(["sha256sum", "-c", digest_file(file).name], cwd=file.parent, capture_output=True)
        assert (found.returncode, found.stdout) == (0, b"weights.bin: OK\n")


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    write_digest(path)
    for bit in range(24):
        path.write_bytes((int.from_bytes(b"abc") ^ 1 << bit).to_bytes(3))
        with pytest.raises(DamagedFileError):
            check_written(path, "-")


def test_what_is_said(file: Path) -> None:
    record, found = file.with_name("record.json"), digest_of(file)
    digests = f"its SHA-256 is {found[:12]}..., record.json says 000000000000..."
    message = f"{file} is damaged or was replaced: {digests}; copy it"
    with pytest.raises(DamagedFileError, match=f"^{re.escape(message)}$"):
        check_digest(file, {file.name: "0" * 64}, record, "copy it")
    message = f"{record} has no digest of weights.bin: an earlier vsmooth wrote it; train again"
    with pytest.raises(DamagedFileError, match=f"^{re.escape(message)}$"):
        check_digest(file, {}, record, "train again")
    write_digest(file)
    digest_file(file).write_bytes(b"\xff\x00")
    with pytest.raises(DamagedFileError, match=r"weights\.bin is damaged or was replaced"):
        check_written(file, "-")


def test_a_missing_file_is_left_to_its_reader(tmp_path: Path) -> None:
    assert check_digest(tmp_path / "a", {}, tmp_path / "record.json", "-") == tmp_path / "a"
    assert check_written(tmp_path / "a", "-") == tmp_path / "a"
