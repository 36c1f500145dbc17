"""What ``import vsmooth`` offers, and that it is quick: names are imported when they are asked for."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import vsmooth


def test_every_name_is_there() -> None:
    assert {name: hasattr(vsmooth, name) for name in vsmooth.__all__} == dict.fromkeys(vsmooth.__all__, True)
    assert set(vsmooth.__all__) < set(dir(vsmooth))
    assert vsmooth.VirtualSmoothing(0.3).width(10) == 20


def test_version_is_the_installed_one() -> None:
    assert vsmooth.__version__ == importlib.metadata.version("vsmooth")


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'vsmooth' has no attribute 'nothing'"):
        vsmooth.nothing  # noqa: B018


def test_torch_waits_until_it_is_needed() -> None:
    """Ctrl-C can then be answered by one line before torch is imported."""
    code = "import sys, vsmooth, vsmooth.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
