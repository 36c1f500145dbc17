"""Options of a training that takes a second, and what a terminal printed as one line of words."""

from __future__ import annotations

import re

# The quarter tells the class: with mirrored and shifted images there would be nothing to learn.
TINY = ("--epochs", "4", "--batch-size", "36", "--precision", "fp32", "--no-flip", "--crop-padding", "0")


def squeezed(text: str) -> str:
    """Without the frames of tables and the breaks of a narrow terminal."""
    return " ".join(re.sub(r"[│┃]", " ", text).split())
