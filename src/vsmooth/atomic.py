"""Files that are the old one or the whole new one, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

_SPACE = "free space, or choose another folder"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "the file system or `ulimit -f` allows no file so large: choose another folder, or raise the limit",
}
_OTHERWISE = "fix its permissions, or choose another folder"


class WriteError(OSError):
    """A file could not be written; the message names it, the reason and the remedy."""

    def __init__(self, number: int | None, reason: str, path: Path) -> None:
        super().__init__(number, reason, str(path))

    def __str__(self) -> str:
        remedy = _REMEDIES.get(self.errno or 0, _OTHERWISE)
        return f"cannot write {self.filename}: {self.strerror}; {remedy}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; on leaving, what was written is on the disk and stands at ``path``.

    After an error ``path`` is as it was, and nothing else is left. The folder is made if need be. Who may read the
    file follows from the umask, whatever writes it. Errors: :class:`WriteError`, also for what safetensors raises.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        mode = partial.stat().st_mode
        yield partial
        partial.chmod(mode)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise WriteError(error.errno, error.strerror or str(error), path) from error
    except SafetensorError as error:
        raise _of_safetensors(error, path) from error
    finally:
        _remove(partial)


def remove_partials(folder: Path, recursive: bool = False) -> None:
    """Remove what a killed writer left half-written in ``folder``; for the folder's owner alone.

    recursive: also in the folders inside.
    """
    for partial in list((folder.rglob if recursive else folder.glob)(".*.partial")):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            _remove(partial)


def _of_safetensors(error: SafetensorError, path: Path) -> WriteError:
    """Its text ends with the number of the system's error: "I/O error: ... (os error 28)"."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    if found is None:
        return WriteError(None, str(error), path)
    return WriteError(int(found[1]), os.strerror(int(found[1])), path)


def _remove(partial: Path) -> None:
    with suppress(OSError):  # its folder is a file, or cannot be written: the error that is on its way says so
        partial.unlink(missing_ok=True)
