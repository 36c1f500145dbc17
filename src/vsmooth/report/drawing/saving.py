"""Figures as files: PNG for the screen, PDF for print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsmooth.atomic import replacing
from vsmooth.report.drawing.canvas import RC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200
# Type 42 embeds the font itself, which journals ask for; without a date the same figure gives the same file.
_FORMATS: dict[str, dict[str, Any]] = {"png": {"dpi": DPI}, "pdf": {"metadata": {"CreationDate": None}}}


def save_figure(figure: Figure, folder: Path, name: str) -> tuple[Path, ...]:
    """Writes `folder/name.png` (200 dpi) and `folder/name.pdf` (vector), whole or not at all."""
    from matplotlib import rc_context

    paths = []
    for kind, options in _FORMATS.items():
        path = folder / f"{name}.{kind}"
        with replacing(path) as partial, rc_context({**RC, "pdf.fonttype": 42}):
            figure.savefig(partial, format=kind, bbox_inches="tight", pad_inches=0.06, **options)
        paths.append(path)
    return tuple(paths)
