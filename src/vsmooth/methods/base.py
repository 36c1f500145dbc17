"""What a training method is: craft what the loss needs, then compute the loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from torch import Tensor, nn

from vsmooth.data import Batch, BatchSource
from vsmooth.records.run import EpochRecord


@dataclass(frozen=True, eq=False)
class Loss:
    """The scalar to descend and its named parts, which are averaged over an epoch, recorded and shown."""

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, terms: Mapping[str, tuple[float, Tensor]]) -> Loss:
        """The sum of ``weight * term``, one term or more; the parts are the terms without their weights."""
        weighted = [term if weight == 1 else weight * term for weight, term in terms.values()]
        return cls(sum(weighted[1:], weighted[0]), {name: term.detach() for name, (_, term) in terms.items()})


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

    def notice(self, history: Sequence[EpochRecord]) -> str | None:
        """What the user should know about the epoch that ended, the last of ``history``; kept in the record."""
        return None


def bare(model: nn.Module) -> nn.Module:
    """The network inside the wrappers of several processes and of ``torch.compile``: it computes and shares weights,
    but waits for no other process."""
    unwrapped: nn.Module = extract_model_from_parallel(model, keep_torch_compile=False)
    return unwrapped


@contextmanager
def running_averages_kept(model: nn.Module) -> Iterator[None]:
    """Buffers (BatchNorm's running averages and counters) are put back as they were, also after an error."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
