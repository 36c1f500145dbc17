"""One forward pass that keeps all that scores of outliers need: every logit, and the input of the classifier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsmooth.data import Batch
from vsmooth.data.storage.images import check_images
from vsmooth.evaluate.predict import evaluation_mode, model_device
from vsmooth.evaluate.representation.features import every_logit, pooled


@dataclass(frozen=True)
class Layout:
    """Which logits are which: K real classes first, then ``num_reject`` reject classes, then virtual ones."""

    num_classes: int
    num_reject: int = 0


@dataclass(frozen=True, eq=False)
class Outputs:
    """Of N images, on the CPU: logits (N, K + R + V), activations before the classifier (N, D), labels as they came.

    Without activations (D = 0) where none were asked for.
    """

    logits: Tensor
    activations: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.logits)


def forward(
    model: nn.Module, batches: Iterable[Batch | tuple[Tensor, Tensor]], classifier: nn.Module | None = None
) -> Outputs:
    """The outputs of ``model`` in eval mode, whatever mode it came in, which it is given back in.

    classifier: the layer whose input is kept. Labels are not looked at: those of outliers are -1.
    ValueError for no batches, images outside [0, 1], and logits that are not finite.
    """
    kept: list[Tensor] = []
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    device = model_device(model)

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        kept.append(pooled(inputs[0].detach()).float().cpu())

    handle = None if classifier is None else classifier.register_forward_pre_hook(keep)
    try:
        with every_logit(model), evaluation_mode(model), torch.inference_mode():
            for images, targets in batches:
                check_images(images)
                logits.append(model(images.to(device, non_blocking=True)).float().cpu())
                labels.append(targets.cpu())
    finally:
        if handle is not None:
            handle.remove()
    if not logits:
        raise ValueError("there are no images to score")
    found = torch.cat(logits)
    if broken := int((~found.isfinite().all(1)).sum()):
        raise ValueError(f"the logits of {broken:,} of {len(found):,} images hold NaN or Inf; has training diverged?")
    return Outputs(found, torch.cat(kept) if kept else torch.zeros(len(found), 0), torch.cat(labels))
