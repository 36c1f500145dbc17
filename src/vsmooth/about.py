"""What a label or another objective says of itself where all of them are listed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """Four short texts, each of one line.

    formula: of one sample, with p = softmax(z), CE = -log p_y, K real and V virtual classes. purpose: what it is for.
    cost: compared with cross entropy over K logits. source: where it was proposed.
    """

    formula: str
    purpose: str
    cost: str
    source: str
