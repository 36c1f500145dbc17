"""Step rules: how a training step turns the loss of a method into weight gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from vsmooth.methods.base import Loss, Method


class StepRule(ABC):
    """A frozen value; the training loop takes the optimizer's step after it."""

    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Short, as in the name of a variant."""
        return ""

    @abstractmethod
    def backward(
        self, method: Method, model: nn.Module, crafted: Any, backward: Callable[[Tensor], None], *, epoch: int = 0
    ) -> Loss:
        """Leave the gradients of one batch in the weights and return its loss.

        ``backward(total)`` runs the backward pass (scaled for mixed precision and accumulation). ``epoch``: of the
        training, counted from 0, for a rule that starts later. A rule may ask the
        method for the loss of the same crafted batch more than once, and must leave the weights as they were.
        """


@dataclass(frozen=True)
class Plain(StepRule):
    """One forward pass and one backward pass."""

    kind: ClassVar[str] = "plain"

    def backward(
        self, method: Method, model: nn.Module, crafted: Any, backward: Callable[[Tensor], None], *, epoch: int = 0
    ) -> Loss:
        loss = method.loss(model, crafted)
        backward(loss.total)
        return loss
