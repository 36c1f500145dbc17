"""What a training method is: craft what the loss needs, then compute the loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from vsmooth.data import Batch, BatchSource


@dataclass(frozen=True, eq=False)
class Loss:
    """The scalar to descend and its named parts, which are averaged over an epoch, recorded and shown."""

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

    def validate(self, model: nn.Module, batches: BatchSource) -> Mapping[str, float]:
        """Numbers of the method's own on the validation split, by name, added to accuracy and calibration; none."""
        return {}
