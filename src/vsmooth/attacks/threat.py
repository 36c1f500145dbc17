"""Threat model: a ball around each image, inside the bounds of the pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal, get_args

import torch
from torch import Tensor

Norm = Literal["linf", "l2"]
_TINY = 1e-30


@dataclass(frozen=True)
class ThreatModel:
    """All images x' with ``|x' - x|_norm <= epsilon`` and ``low <= x' <= high`` in each pixel.

    norm: "linf" (each pixel by itself) or "l2" (Euclidean, over all pixels and channels of an image).
    epsilon: the radius in units of pixels in [0, 1]: 8/255, not 8. 0 leaves the clean image alone.
    low, high: the bounds of a pixel.

    Raises:
        ValueError: an unknown norm, a negative epsilon or one wider than the bounds, bounds in the wrong order.

    All functions take images (N, C, H, W) and work sample by sample.
    """

    norm: Norm = "linf"
    epsilon: float = 8 / 255
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise ValueError(f"norm must be 'linf' or 'l2', got {self.norm!r}")
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"bounds must be finite and low < high, got {self.low} and {self.high}")
        if not isinstance(self.epsilon, Real) or not 0 <= self.epsilon < math.inf:
            raise ValueError(f"epsilon must be 0 or a positive number, got {self.epsilon!r}")
        self._check_length(self.epsilon, "epsilon", self.high - self.low if self.norm == "linf" else math.inf)

    def check_fits(self, images: Tensor, step_size: float | None = None) -> None:
        """ValueError for an epsilon or a step that is longer than the diagonal of all such images: 128 for 128/255."""
        pixels = 1 if self.norm == "linf" else images[0].numel()
        widest = (self.high - self.low) * math.sqrt(pixels)
        self._check_length(self.epsilon, "epsilon", widest)
        self._check_length(step_size or 0.0, "step_size", widest)

    def project(self, images: Tensor, origin: Tensor) -> Tensor:
        """The nearest images in the ball around ``origin``, then in the bounds.

        ``origin`` is within the bounds, so that the second projection cannot leave the ball. Images that are inside may
        change by the rounding of ``origin + (images - origin)``.
        """
        delta = images - origin
        if self.norm == "linf":
            # By the difference, as every implementation of PGD does: a rounding of its own would turn signs later on.
            delta = delta.clamp_(-self.epsilon, self.epsilon)
        else:
            delta = delta * (self.epsilon / _length(delta).clamp(min=_TINY)).clamp_(max=1)
        return (origin + delta).clamp_(self.low, self.high)

    def random_start(self, origin: Tensor, generator: torch.Generator) -> Tensor:
        """Images drawn uniformly from the ball, then clamped to the bounds.

        Drawn by ``generator`` on its own device, so that a CPU generator gives the same numbers on every device.
        """
        shape, device = origin.shape, generator.device
        if self.norm == "linf":
            noise = torch.rand(shape, generator=generator, device=device).mul_(2).sub_(1).mul_(self.epsilon)
        else:
            direction = torch.randn(shape, generator=generator, device=device)
            share = torch.rand(len(origin), 1, 1, 1, generator=generator, device=device)
            radius = self.epsilon * share ** (1 / origin[0].numel())
            noise = direction * (radius / _length(direction).clamp(min=_TINY))
        return (origin + noise.to(origin)).clamp_(self.low, self.high)

    def ascent(self, gradient: Tensor) -> Tensor:
        """The direction of steepest ascent of length 1: the sign for "linf", ``g / |g|_2`` for "l2"; 0 where g is 0.

        NaN counts as 0: an attack does not end at a sample or pixel whose gradient is not defined.
        """
        finite = gradient.nan_to_num()
        if self.norm == "linf":
            return finite.sign()
        # Scaled first: squares of the gradients of a saturated loss would underflow to a direction of 0.
        scaled = finite / finite.abs().amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(gradient.dtype).tiny)
        return scaled / _length(scaled).clamp(min=_TINY)

    def distance(self, images: Tensor, origin: Tensor) -> Tensor:
        """(N,): how far each image is from its origin, in the norm of this threat model."""
        delta = (images - origin).flatten(1)
        return delta.abs().amax(1) if self.norm == "linf" else torch.linalg.vector_norm(delta, dim=1)

    def contains(self, images: Tensor, origin: Tensor, tolerance: float = 1e-6) -> Tensor:
        """(N,) bool: whether each image is in the ball and in the bounds, NaN nowhere.

        ``tolerance`` is for float32's rounding at the edge; for an epsilon above 1 it is relative.
        """
        near = self.distance(images, origin) <= self.epsilon + tolerance * max(1.0, self.epsilon)
        pixels = images.flatten(1)
        return near & (pixels.amin(1) >= self.low - tolerance) & (pixels.amax(1) <= self.high + tolerance)

    def _check_length(self, length: float, name: str, widest: float) -> None:
        if length > widest:
            raise ValueError(
                f"{name} {length:g} is more than the {self.norm} distance of any two images, {widest:.4g}: it is in "
                f"units of pixels in [{self.low:g}, {self.high:g}]; did you mean {length:g}/255?"
            )


def _length(images: Tensor) -> Tensor:
    """Euclidean length of each sample, (N, 1, 1, 1)."""
    return torch.linalg.vector_norm(images, dim=(1, 2, 3), keepdim=True)
