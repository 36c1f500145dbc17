"""How alpha is shared among the virtual classes, where each sample and step gets shares of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RedrawnShares(ABC):
    """Shares ``u_j = r_j / sum_j r_j`` of the virtual classes, redrawn for each sample each time a loss is computed.

    They come from torch's default generator of the device, so ``torch.manual_seed`` makes them repeatable.
    Limits: the shares are a tensor (N, V) of their own, which uniform shares and a fixed distribution do without.
    Source: the redrawn variants of the paper's ablation in the authors' code.
    """

    def draw(self, samples: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """(N, V) shares for ``samples`` = N and ``size`` = V; each row sums to 1."""
        raw = self._draw_raw(samples, size, dtype, device)
        return raw / raw.sum(1, keepdim=True)

    @abstractmethod
    def _draw_raw(self, samples: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """(N, V) positive numbers r."""


@dataclass(frozen=True)
class NoisyUniform(RedrawnShares):
    """``r_j = 1 + e_j`` with e_j uniform in [-noise, noise]: equal shares with a little noise.

    noise is relative to the share 1 / V: .005 (the default, for clean training) is 0.5 %, .01 (adversarial training)
    1 %. That the percentages are meant relative to 1 / V is this library's reading.
    Errors: ValueError for noise outside [0, 1). Limits: noise 0 gives equal shares.
    """

    noise: float = 0.005

    def __post_init__(self) -> None:
        if not 0 <= self.noise < 1:
            raise ValueError(f"noise must be in [0, 1), a part of the share 1 / V, got {self.noise!r}")

    def _draw_raw(self, samples: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        return 1 + self.noise * (2 * torch.rand(samples, size, dtype=dtype, device=device) - 1)


@dataclass(frozen=True)
class RandomIntegers(RedrawnShares):
    """r_j a whole number, uniform in 1..largest: shares that have little to do with equal ones.

    The sources name no range; 1..100 is this library's choice.
    Errors: ValueError for largest < 1. Limits: largest 1 gives equal shares.
    """

    largest: int = 100

    def __post_init__(self) -> None:
        if isinstance(self.largest, bool) or not isinstance(self.largest, int) or self.largest < 1:
            raise ValueError(f"largest must be a whole number of at least 1, got {self.largest!r}")

    def _draw_raw(self, samples: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.randint(1, self.largest + 1, (samples, size), device=device).to(dtype)
