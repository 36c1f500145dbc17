"""Step rules: how a training step turns the loss of a method into weight gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from vsmooth.methods.base import Loss, Method


class StepRule(ABC):
    """A frozen value; the training loop takes the optimizer's step after it.

    name: short, as in the name of a variant; empty where there is nothing to say.
    """

    kind: ClassVar[str]
    name: str = ""

    @abstractmethod
    def backward(
        self, method: Method, model: nn.Module, crafted: Any, backward: Callable[[Tensor], None]
    ) -> Loss:
        """Leave the gradients of one batch in the weights and return its loss.

        ``backward(total)`` runs the backward pass (scaled for mixed precision and accumulation). A rule may ask the
        method for the loss of the same crafted batch more than once, and must leave the weights as they were.
        """


@dataclass(frozen=True)
class Plain(StepRule):
    """One forward pass and one backward pass."""

    kind: ClassVar[str] = "plain"

    def backward(
        self, method: Method, model: nn.Module, crafted: Any, backward: Callable[[Tensor], None]
    ) -> Loss:
        loss = method.loss(model, crafted)
        backward(loss.total)
        return loss
