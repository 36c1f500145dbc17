"""What a training method is: craft what the loss needs, then compute the loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from vsmooth.data import Batch


@dataclass(frozen=True, eq=False)
class Loss:
    """The scalar to descend and its named parts, for display."""

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


class Method(ABC):
    """A training method: frozen configuration and two functions, called in turn for every batch."""

    def craft(self, model: nn.Module, batch: Batch) -> Any:
        """Make what the loss needs without weight gradients (adversarial images, teacher logits); the batch itself."""
        return batch

    @abstractmethod
    def loss(self, model: nn.Module, crafted: Any) -> Loss:
        """The loss of ``model`` on what :meth:`craft` made; a step rule may call it more than once."""
