"""One owner of a folder at a time: a process, or the processes of one launch."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout

from vsmooth.atomic import remove_partials
from vsmooth.train.processes import launched

LOCK_FILE = ".vsmooth.lock"
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_held: set[Path] = set()


@contextmanager
def owned(*folders: Path) -> Iterator[None]:
    """Own ``folders`` within the block, and remove what a killed writer left half-written in them.

    The kernel frees the lock of a process that ends, however it ends, so the lock file of a dead process of this host
    is taken over. Of several processes of one launch, all of which must call this, the first owns for all. Folders
    inside have owners of their own. A folder that this process owns already is left to the outer block; one that was
    made for the lock and is empty at the end is removed.

    Limits: on a file system without locks nothing is guarded.

    Raises:
        ValueError: another process owns a folder (the message names its host, number and start), or a process of
            another host, which cannot be asked, left its lock file; a folder cannot be written.
    """
    state = launched()
    with ExitStack() as stack:
        problem: str | None = None
        if state.is_main_process:
            try:
                for folder in folders:
                    stack.enter_context(_locked(folder))
            except ValueError as error:
                problem = str(error)
        if state.num_processes > 1:
            problem = broadcast_object_list([problem])[0]
        if problem is not None:
            raise ValueError(problem)
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    key = folder.resolve()
    if key in _held:
        yield
        return
    made = [path for path in (key, *key.parents) if not path.exists()]
    lock = FileLock(folder / LOCK_FILE, timeout=0, fallback_to_soft=False)
    try:
        _take(lock, folder)
        _held.add(key)
        try:
            remove_partials(folder)
            yield
        finally:
            _held.remove(key)
            (folder / LOCK_FILE).unlink(missing_ok=True)
    finally:
        lock.release()
        for path in made:
            with suppress(OSError):  # not empty
                path.rmdir()


def _take(lock: FileLock, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lock)
        _refuse_foreign(folder)
        _sign(folder)
    except Timeout:
        raise ValueError(
            f"{folder} is in use by {_in_words(_owner(folder))}; wait until it ends, or choose another --out"
        ) from None
    except OSError as error:
        raise ValueError(f"cannot write to the output folder {folder}: {error.strerror or error}") from error


def _acquire(lock: FileLock) -> None:
    try:
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise


def _refuse_foreign(folder: Path) -> None:
    """The kernel's lock may be of one host alone, so it does not say that the process of another one has ended."""
    left = _owner(folder)
    if left is not None and left.get("host") != socket.gethostname():
        raise ValueError(
            f"{folder} was taken by {_in_words(left)} and not given back; if that process no longer runs, delete "
            f"{folder / LOCK_FILE} and run the same command again"
        )


def _sign(folder: Path) -> None:
    own = {"host": socket.gethostname(), "pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    (folder / LOCK_FILE).write_text(json.dumps(own), encoding="utf-8")


def _owner(folder: Path) -> dict[str, Any] | None:
    """What the lock file says; None where it says nothing: its owner is just writing it."""
    try:
        found = json.loads((folder / LOCK_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _in_words(owner: dict[str, Any] | None) -> str:
    if owner is None:
        return "another process"
    return f"process {owner.get('pid')} on {owner.get('host')} since {owner.get('since')}"
