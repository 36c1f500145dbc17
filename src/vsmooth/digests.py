"""SHA-256 digests of files: what is read is what was written, or the file is named."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from vsmooth.atomic import replacing

_SUFFIX = ".sha256"
_SHOWN = 12  # hexadecimal digits in messages


class DamagedFileError(ValueError):
    """A file is not what was written; the message names it, both digests and the remedy."""


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits, as `sha256sum` prints it.

    The file is read in pieces. Whoever loads it next finds it in memory, in the cache of the operating system.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(path: Path, digests: Mapping[str, str], record: Path, remedy: str) -> Path:
    """`path`, if the file is what was written; one that is missing is left to its reader.

    digests: SHA-256 by file name, as the file `record` holds them.

    Raises:
        DamagedFileError: the file has another digest, or the record has none of it.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        return path
    expected = digests.get(path.name)
    if expected is None:
        raise DamagedFileError(f"{record} has no digest of {path.name}: an earlier vsmooth wrote it; {remedy}")
    found = digest_of(path)
    if found != expected:
        raise DamagedFileError(
            f"{path} is damaged or was replaced: its SHA-256 is {found[:_SHOWN]}..., {record.name} says "
            f"{expected[:_SHOWN]}...; {remedy}"
        )
    return path


def digest_file(path: Path) -> Path:
    """The file beside `path` that holds its digest, in the format of `sha256sum`."""
    return path.with_name(path.name + _SUFFIX)


def write_digest(path: Path) -> None:
    """Write the digest of a file that no record describes into a file beside it."""
    with replacing(digest_file(path)) as partial:
        partial.write_text(f"{digest_of(path)}  {path.name}\n", encoding="utf-8")


def check_written(path: Path, remedy: str) -> Path:
    """`path`, if the file is what `write_digest` saw. Errors: as `check_digest`."""
    beside = digest_file(path)
    if not beside.is_file():
        return check_digest(path, {}, beside, remedy)
    found = beside.read_text(encoding="utf-8", errors="replace").partition(" ")[0]
    return check_digest(path, {path.name: found}, beside, remedy)
