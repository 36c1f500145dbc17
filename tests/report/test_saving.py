"""Figures as files."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from vsmooth.report.drawing.canvas import new_figure
from vsmooth.report.drawing.saving import save_figure


def test_a_figure_becomes_png_and_pdf(tmp_path: Path) -> None:
    with new_figure(3, 2) as (figure, axes):
        axes.plot([0, 1], [1, 0])
        axes.set_title("words")
    png, pdf = save_figure(figure, tmp_path / "made", "curve")
    assert (png, pdf) == (tmp_path / "made" / "curve.png", tmp_path / "made" / "curve.pdf")
    with Image.open(png) as picture:
        assert picture.width == pytest.approx(3 * 200, rel=0.1)
    first = pdf.read_bytes()
    assert first.startswith(b"%PDF")
    assert b"CreationDate" not in first
    assert b"/Type3" not in first  # fonts that journals refuse
    save_figure(figure, tmp_path / "made", "curve")
    assert pdf.read_bytes() == first
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["curve.pdf", "curve.png"]
