"""Vector scaling: a factor and an offset for each class, fitted on validation logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vsmooth.metrics.inputs import check_logits
from vsmooth.metrics.temperature import check_fit, fit_temperature

TOLERANCE = 1e-5  # largest slope of the NLL in any factor or offset
ITERATIONS = 1000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VectorScalingFit:
    """Fitted factors and offsets, and the mean NLL (nats) of the logits they were fitted on, before and after.

    `converged` is False where the search ran out of iterations, or where the scaled logits separate the
    classes, so that larger factors would lower the NLL for ever.
    """

    scale: Tensor  # (K,) float64
    bias: Tensor  # (K,) float64, sum 0: a common offset changes no probability
    nll_before: float
    nll_after: float
    iterations: int
    converged: bool

    def __post_init__(self) -> None:
        if self.scale.shape != self.bias.shape:
            raise ValueError(f"{len(self.scale)} factors need as many offsets, got {len(self.bias)}")
        check_fit(self.nll_before, self.nll_after, self.iterations)

    def apply(self, logits: Tensor) -> Tensor:
        """`scale * logits + bias`, (N, K) float64."""
        return logits.double() * self.scale.to(logits.device) + self.bias.to(logits.device)


def fit_vector_scaling(logits: Tensor, labels: Tensor) -> VectorScalingFit:
    """The factors w (K,) and offsets b (K,) that minimise the NLL of softmax(w * logits + b).

    Pass the logits (N, K) and labels (N,) of a validation split, never of the split that is reported. The NLL
    is convex in (w, b); L-BFGS starts in float64 from the fitted temperature, so `nll_after` is at most that
    of temperature scaling. The factors may be of any sign and the offsets differ, so unlike a temperature
    this may change the argmax and the accuracy; with 2 K parameters it can over-fit a small split. ValueError
    for logits that are not finite, one class, labels that do not fit, and a class without samples, whose
    offset has no optimum. Source: Guo et al. (2017), Sec. 4.2.
    """
    from scipy.optimize import minimize

    labels = check_logits(logits, labels)
    logits = logits.detach().double()
    num_classes = logits.shape[1]
    _check_all_present(labels, num_classes)
    start = fit_temperature(logits, labels)
    inverse = 1 / start.temperature if start.converged else 1.0

    def loss(parameters: Floats) -> tuple[float, Floats]:
        values = torch.from_numpy(parameters).to(logits.device).requires_grad_()
        found = cross_entropy(values[:num_classes] * logits + values[num_classes:], labels)
        return found.item(), torch.autograd.grad(found, values)[0].cpu().numpy()

    first = np.repeat([inverse, 0.0], num_classes)
    options = {"maxiter": ITERATIONS, "maxfun": 2 * ITERATIONS, "gtol": TOLERANCE / 10, "ftol": 0.0}
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options=options)
    scale, bias = torch.from_numpy(found.x).view(2, num_classes)
    fitted = scale.to(logits.device) * logits + bias.to(logits.device)
    separated = bool((fitted.argmax(1) == labels).all())
    converged = float(np.abs(found.jac).max()) < TOLERANCE and not separated
    return VectorScalingFit(scale, bias, start.nll_before, float(found.fun), int(found.nit), converged)


def _check_all_present(labels: Tensor, num_classes: int) -> None:
    counts = torch.bincount(labels, minlength=num_classes)
    if not counts.all():
        missing = int((counts == 0).nonzero()[0])
        raise ValueError(
            f"class {missing} has no sample, so its offset has no optimum; use a larger validation split "
            "or fit_temperature"
        )
