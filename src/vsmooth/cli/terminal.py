"""What a terminal, a pipe or a file can do to what is printed; none of it may cost work."""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

_NARROWEST, _WIDEST = 20, 10_000
_DEGRADE = "vsmooth-degrade"
# One for one, so that tables keep their columns.
_PLAIN = str.maketrans("α−–—×·±≥≤…★†‖✓✗│└─▲▼◯▁▂▃▄▅▆▇█", "a---x.+><.*+|vx|+-^vo.._--=##")


def say_error(text: str) -> None:
    """One line on stderr; nothing where nobody can read it."""
    with suppress(OSError, ValueError):
        print(f"vsmooth: {text}", file=sys.stderr, flush=True)


@contextmanager
def printable() -> Iterator[None]:
    """Standard output that degrades characters that it has no room for, and outlives its reader.

    A closed pipe (`| head`) or a full disk ends the printing, with one line on stderr, and not the command. A COLUMNS
    or LINES in the environment that no terminal has is taken out of it.
    """
    for name in ("COLUMNS", "LINES"):
        _drop_unusable(name)
    before = sys.stdout
    if before is not None:  # it is where the program was started without one
        sys.stdout = _Lasting(before)
    try:
        yield
    finally:
        if before is not None:
            sys.stdout.flush()
        sys.stdout = before


def _drop_unusable(name: str) -> None:
    """Of 0 columns nothing would be printed; of one, laying out the help takes hours."""
    text = os.environ.get(name, "").strip()
    if text and not (text.isdecimal() and len(text) < 9 and _NARROWEST <= int(text) <= _WIDEST):
        del os.environ[name]


class _Lasting:
    """A text stream whose writes do not fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lost = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self._write_degraded(text)
        except OSError as error:
            self._lose(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _write_degraded(self, text: str) -> None:
        encoding = self._stream.encoding or "ascii"
        with suppress(OSError):  # the next flush says so
            self._stream.write(text.encode(encoding, _DEGRADE).decode(encoding))

    def _lose(self, error: OSError) -> None:
        if not self._lost:
            say_error(f"standard output is lost ({error.strerror or error}): the command goes on without it")
        self._lost = True
        with suppress(OSError, ValueError):  # what is still buffered goes there too, or Python fails when it ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def _degrade(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    plain = unicodedata.normalize("NFKD", error.object[error.start : error.end].translate(_PLAIN))
    letters = (letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() else "?" for letter in letters), error.end


codecs.register_error(_DEGRADE, _degrade)
