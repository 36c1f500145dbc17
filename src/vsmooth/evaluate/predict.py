"""The one forward pass over a split that all evaluators share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from vsmooth.data import Batch
from vsmooth.data.storage.images import check_images
from vsmooth.records.predictions import Predictions


def predict(
    model: nn.Module, batches: Iterable[Batch | tuple[Tensor, Tensor]], *, autocast: torch.dtype | None = None
) -> Predictions:
    """Run the model in eval mode over batches of (images, labels) and gather its logits.

    images (B, C, H, W) floating point in [0, 1], labels (B,); each batch is moved to the model's device.
    `autocast` names the dtype of mixed precision (None: the model's own); logits are kept as float32. Every
    module's train or eval mode is restored afterwards, also after an error. ValueError for images outside [0,
    1] or of another dtype, for no batches, and for logits that are not finite or do not fit the labels.
    """
    device = model_device(model)
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    mixed = torch.autocast(device.type, dtype=autocast, enabled=autocast is not None)
    with evaluation_mode(model), torch.inference_mode(), mixed:
        for images, targets in batches:
            check_images(images)
            logits.append(model(images.to(device, non_blocking=True)).float())
            labels.append(targets)
    if not logits:
        raise ValueError("there are no batches to predict; is the split empty?")
    # Joined outside inference mode, so that later fits (temperature) may differentiate through the logits.
    return Predictions(torch.cat(logits).cpu(), torch.cat(labels).cpu())


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode inside, and each module's own training flag back after (frozen BatchNorm stays frozen)."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training


def model_device(model: nn.Module) -> torch.device:
    """Device of the model's first parameter or buffer; the CPU if it has none."""
    tensor = next(chain(model.parameters(), model.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device
