"""Logit normalisation: cross entropy of logits of a fixed length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vsmooth.about import About
from vsmooth.losses.rivals.base import Expect, RealRival, check_number, cross_entropy_of

_LEAST_NORM = 1e-7  # as in the authors' code


@dataclass(frozen=True)
class LogitNorm(RealRival):
    """``CE(z / (tau * |z|))`` with the Euclidean norm of the K logits.

    At inference the K logits are used as they are, as in the authors' code: their length was never trained, so their
    confidence says little before temperature scaling. The predicted class does not depend on it.

    Errors: ValueError for tau <= 0. Limits: multiplying a row of logits by a positive number changes nothing; a large
    tau gives log K.
    Source: Wei et al., "Mitigating Neural Network Overconfidence with Logit Normalization" (ICML 2022), with tau 0.04
    on CIFAR-10.
    """

    tau: float
    word: ClassVar[str] = "logit-norm"
    title: ClassVar[str] = "LogitNorm"
    usual: ClassVar[tuple[float, ...]] = (0.01, 0.02, 0.04, 0.1)
    description: ClassVar[About] = About(
        "CE of z / (TAU |z|)",
        "out-of-distribution detection: only the direction of the logits is trained",
        "none",
        "Wei et al. 2022",
    )

    def __post_init__(self) -> None:
        check_number("tau", self.tau, 0, above=True)

    def of_rows(self, logits: Tensor, expect: Expect) -> Tensor:
        norm = torch.linalg.vector_norm(logits, dim=1, keepdim=True) + _LEAST_NORM
        return cross_entropy_of(logits / norm / self.tau, expect)
