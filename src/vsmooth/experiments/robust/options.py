"""Options of a robust evaluation, as a value that names its folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from vsmooth.attacks.threat import ThreatModel
from vsmooth.bounds import check_batch_size, check_count, check_seed
from vsmooth.evaluate import Budget
from vsmooth.evaluate.robust.cascade import On
from vsmooth.evaluate.robust.columns import FAMILIES, Family
from vsmooth.models import Precision
from vsmooth.records.run import Checkpoint

_MOST_IMAGES = 10**9
_REVISION = 3
"""Raised when attacks find other images than before: what the two found is neither resumed nor read back as one."""


@dataclass(frozen=True)
class AttackOptions:
    """images: evenly spaced ones of the test split (None: all). attacks: families (none: all that apply).

    on: "right" gives the paper's columns numbers of their own, "standing" attacks only what still stands. precision:
    "bf16" makes each column's first attack in bf16 first. sanity_images: of the evaluated ones that are right (0: no
    sanity block); sanity_steps: of its margin PGD. transfer_from: a run whose adversarial images are tried too.
    checkpoint: "last" or "best" weights of the run, the second of a run that was trained under attack.
    ValueError for counts under 1, a step wider than the bounds, an unknown attack, and "transfer" without a run to
    transfer from.
    """

    threat: ThreatModel = field(default_factory=ThreatModel)
    images: int | None = 500
    attacks: tuple[Family, ...] = ()
    on: On = "right"
    budget: Budget = field(default_factory=Budget)
    batch_size: int = 128
    seed: int = 0
    precision: Precision = "fp32"
    fold: bool = True
    compile: bool = False
    sanity_images: int = 100
    sanity_steps: tuple[int, ...] = (20, 100, 1000)
    transfer_from: Path | None = None
    checkpoint: Checkpoint = "last"

    def __post_init__(self) -> None:
        if self.images is not None:
            check_count("images", self.images, 1, _MOST_IMAGES, "no test split has more: `all` takes the whole of it")
        check_batch_size(self.batch_size)
        check_seed(self.seed)
        if self.threat.norm == "linf":  # told before images are loaded; an L2 distance depends on their size
            self.threat.check_fits(torch.zeros(1, 1, 1, 1), self.budget.step_size)
        if self.sanity_images < 0:
            raise ValueError(f"sanity_images must be at least 0 (0: no sanity block), got {self.sanity_images}")
        check_count("sanity_images", self.sanity_images, 0, _MOST_IMAGES, "no test split has more")
        if unknown := [name for name in self.attacks if name not in FAMILIES]:
            raise ValueError(f"unknown attack {unknown[0]!r}: choose from {', '.join(FAMILIES)}")
        if "transfer" in self.attacks and self.transfer_from is None:
            raise ValueError("transfer needs a run to transfer from: give --transfer-from RUN")
        if self.transfer_from is not None and "transfer" not in self.families:
            raise ValueError("a run to transfer from, but no transfer among the attacks: add it to --attacks")

    @property
    def families(self) -> tuple[Family, ...]:
        """The attacks that are wanted, in the order of their columns."""
        return tuple(family for family in FAMILIES if not self.attacks or family in self.attacks)

    def without_transfer(self) -> AttackOptions | None:
        """The same without the transfer attack; None if that is the only one."""
        left = tuple(family for family in self.attacks if family != "transfer")
        return None if self.attacks and not left else replace(self, attacks=left, transfer_from=None)

    def folder(self, images: int, weights: str, source: str) -> str:
        """``linf-0.03137-n500-1a2b3c4d5e``: the last part changes with any option, and with what is attacked and how.

        weights, source: fingerprints of the run and of the one that is transferred from ("" for none).
        """
        values: dict[str, Any] = {**asdict(self), "transfer_from": source, "images": images, "weights": weights}
        values |= {"attacks": self.families, "revision": _REVISION}
        key = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]
        return f"{question_name(self.threat, images)}-{key}"


def question_name(threat: ThreatModel, images: int) -> str:
    """``linf-0.03137-n500``: how the folder of an evaluation begins."""
    return f"{threat.norm}-{threat.epsilon:.4g}-n{images}"
