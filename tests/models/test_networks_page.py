"""docs/networks.md says what the code does."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "write_networks_page.py"
PAGE = SCRIPT.parents[1] / "docs" / "networks.md"


def test_the_committed_page_is_what_the_script_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [str(SCRIPT), str(tmp_path / "networks.md")])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    written = (tmp_path / "networks.md").read_text(encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == written, f"run python scripts/{SCRIPT.name}"


def test_a_line_by_hand() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert (
        "| `wrn-28-10` | 3x32x32 | 10 | 36,479,194 | 5,243.3 | 5,246.98: osmr/imgclsmob "
        "| Zagoruyko and Komodakis 2016, Table 1 |"
    ) in lines
