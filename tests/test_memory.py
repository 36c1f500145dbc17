"""The peak of this process, not of the one that started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vsmooth import memory
from vsmooth.memory import peak_memory


def in_child(code: str) -> list[int]:
    prelude = f"import runpy; peak = runpy.run_path({memory.__file__!r})['peak_memory']\n"
    child = subprocess.run([sys.executable, "-c", prelude + code], check=True, capture_output=True, text=True)
    return [int(word) for word in child.stdout.split()]


def test_what_was_held_stays_counted() -> None:
    before, after = in_child("before = peak(); held = b'x' * 2**26; del held; print(before, peak())")
    assert 2**26 <= after < before + 2**26 + 2**23


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux passes the peak on")
def test_the_peak_of_the_parent_does_not_count() -> None:
    own = peak_memory()
    assert own is not None
    (found,) = in_child("print(peak())")
    assert found < 60 * 2**20 < own


@pytest.mark.skipif(sys.platform == "win32", reason="there is no getrusage")
def test_elsewhere_it_is_what_getrusage_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import resource

    monkeypatch.setattr(memory, "_STATUS", tmp_path / "missing")
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=3))
    assert peak_memory() == (3 if sys.platform == "darwin" else 3 * 1024)
