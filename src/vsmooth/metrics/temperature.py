"""Temperature scaling: one number, fitted on validation logits, that makes the confidence fit the accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsmooth.metrics.inputs import check_logits

SMALLEST, LARGEST = 1e-4, 1e4  # temperatures searched; an optimum outside is none
TOLERANCE = 1e-6  # nats per unit of log T
_BLOCK = 4096  # samples


@dataclass(frozen=True)
class TemperatureFit:
    """A fitted temperature and the mean NLL (nats) of the logits it was fitted on, before and after.

    `converged` is False where the NLL has no minimum at a finite temperature: it falls for ever as T -> 0 if
    every label has the largest logit, and as T -> infinity if the logits say nothing about the labels.
    `temperature` is then the end of the search, `SMALLEST` or `LARGEST`, and of no use.
    """

    temperature: float
    nll_before: float
    nll_after: float
    iterations: int
    converged: bool

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"a temperature must be positive, got {self.temperature}")
        check_fit(self.nll_before, self.nll_after, self.iterations)


def check_fit(nll_before: float, nll_after: float, iterations: int) -> None:
    """ValueError for a negative NLL or number of iterations."""
    if nll_before < 0 or nll_after < 0 or iterations < 0:
        found = f"{nll_before:g}, {nll_after:g} and {iterations}"
        raise ValueError(f"NLL before and after and iterations must not be negative, got {found}")


def fit_temperature(logits: Tensor, labels: Tensor) -> TemperatureFit:
    """The temperature T > 0 that minimises the NLL of softmax(logits / T).

    Pass the logits (N, K) and labels (N,) of a validation split, never of the split that is reported. The NLL
    is convex in 1/T, so its slope in log T has one root, which Brent's method finds in float64; `converged`
    says that the slope there is 0. Limits: logits * c give T * c. Scaling keeps the order of the classes, so
    neither the argmax nor the accuracy changes. ValueError for logits that are not finite, one class, and
    labels that do not fit. Source: Guo et al. (2017), Sec. 4.2.
    """
    from scipy.optimize import brentq

    labels = check_logits(logits, labels)
    excess = logits.detach().to(torch.float64, copy=True)
    excess -= excess.gather(1, labels[:, None])

    def mean_of(values: Callable[[Tensor], Tensor]) -> float:
        # In blocks: whole tables of float64 would be most of the memory of a calibration.
        return sum(float(values(block).sum()) for block in excess.split(_BLOCK)) / len(excess)

    def slope(log_temperature: float) -> float:
        # No term is positive where the label has the largest logit, so rounding cannot feign an optimum.
        inverse = math.exp(-log_temperature)
        return -inverse * mean_of(lambda block: (block * inverse).softmax(1).mul_(block))

    low, high = math.log(SMALLEST), math.log(LARGEST)
    if slope(low) >= 0:
        temperature, iterations, converged = SMALLEST, 0, False
    elif slope(high) <= 0:
        temperature, iterations, converged = LARGEST, 0, False
    else:
        root, result = brentq(slope, low, high, xtol=1e-12, full_output=True)
        temperature, iterations = math.exp(root), result.iterations
        converged = result.converged and abs(slope(root)) < TOLERANCE

    def loss(divisor: float) -> float:
        return mean_of(lambda block: (block / divisor).logsumexp(1))  # the label's own excess is 0

    return TemperatureFit(temperature, loss(1.0), loss(temperature), iterations, converged)


class TemperatureScaled(nn.Module):
    """A model whose logits are divided by a temperature, which is saved and exported with it as a buffer.

    `model(x) / T`, T > 0; T = 1 is the model itself. The argmax stays, up to ties that rounding makes.
    ValueError for a temperature that is not positive and finite. Source: Guo et al. (2017), Sec. 4.2.
    """

    temperature: Tensor

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ValueError(f"a temperature must be positive and finite, got {temperature}")
        self.model = model
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits divided by the temperature, in their own dtype."""
        scaled: Tensor = self.model(images) / self.temperature
        return scaled
