"""An exponential moving average of the weights, or none."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@dataclass(frozen=True)
class WeightAverage:
    """``a <- decay * a + (1 - decay) * w`` after every optimizer step; buffers are copied. ``model`` None: off."""

    model: nn.Module | None
    decay: float = 0.0

    @classmethod
    def of(cls, model: nn.Module, decay: float | None) -> WeightAverage:
        """The average starts at the weights of ``model``; ``decay`` ``None`` makes one that does nothing."""
        if decay is None:
            return cls(None)
        return cls(copy.deepcopy(model).requires_grad_(False), decay)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards ``model``."""
        if self.model is None:
            return
        mine = [p.data for p in self.model.parameters()]
        get_ema_multi_avg_fn(self.decay)(mine, [p.data for p in model.parameters()], None)
        for own, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(theirs)
