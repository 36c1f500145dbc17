"""Options of a training that takes a second, and what a terminal printed as one line of words."""

from __future__ import annotations

import re
from pathlib import Path

# The quarter tells the class: with mirrored and shifted images there would be nothing to learn.
TINY = ("--epochs", "4", "--batch-size", "36", "--precision", "fp32", "--no-flip", "--crop-padding", "0")
ATTACK = ("--attacks", "pgd", "--no-sanity", "--images", "40")
FEW = ("--resamples", "40")
STUDENT = ("--student", "small", "--cache-teacher", "2")


def taught_by(run: Path, root: Path, data: Path) -> list[str]:
    """What `distill` is asked for."""
    return ["--teacher", str(run), "--data", str(data), "--out", str(root / "taught"), *STUDENT, *TINY]


def squeezed(text: str) -> str:
    """Without the frames of tables and the breaks of a narrow terminal."""
    return " ".join(re.sub(r"[│┃]", " ", text).split())
