"""Images crafted on one model and judged on another: no gradient of the judged model can hide from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from vsmooth.attacks.base import Attack
from vsmooth.attacks.target import Target
from vsmooth.attacks.threat import ThreatModel


@dataclass(frozen=True)
class Transfer(Attack):
    """``attack`` crafts on ``source``; the target's own ``craft`` is not used.

    source: of the same K classes; left out of :meth:`settings`. source_name: what records call it.
    attack: best one that goes to the end of its climb (keep "last"): the first image that fools the source is no more
    than that. What stops early on the source, or restarts there on standing samples alone, transfers less.
    Errors: ValueError for a source of other classes. Limits: with the target as the source it is ``attack`` itself.
    Source: Papernot et al. (2016); momentum for transfer: Dong et al. (CVPR 2018).
    """

    source: Target = field(repr=False)
    attack: Attack
    source_name: str = "another model"

    @property
    def name(self) -> str:
        """CW-40 from RUN."""
        return f"{self.attack.name} from {self.source_name}"

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        if self.source.num_classes != target.num_classes:
            found = f"{self.source.num_classes} and {target.num_classes}"
            raise ValueError(f"the source of a transfer attack and its target must have the same classes, got {found}")
        return self.attack._craft(self.source, images, labels, threat, generator)
