"""Early stopping per image: APGD leaves out images that already fool the network; the package computes with all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vsmooth.attacks.target import Logits, Target


def stop_where_fooled(apgd: Any, target: Target) -> None:
    """Let an APGD object of the package leave out, within each of its runs, the images that `target` takes for broken.

    What it does with the others stays as it is: in APGD no image depends on another one of its batch. For an image
    that left, the logits that fooled are repeated, without a gradient, and the image that gave them is the one found.
    """
    run = apgd.attack_single_run

    def stopping(images: Tensor, labels: Tensor, start: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        craft = apgd.model
        apgd.model = moving = _Moving(craft, target, labels)
        try:
            best, right, loss, found = run(images, labels, start)
        finally:
            apgd.model = craft
        return best, right, loss, moving.put_found(found)

    apgd.attack_single_run = stopping


class _Moving:
    """`craft` for a batch (N, C, H, W) that is asked for again and again, less and less of which is still computed."""

    def __init__(self, craft: Logits, target: Target, labels: Tensor) -> None:
        self.craft, self.target, self.labels = craft, target, labels
        self.fooled = torch.zeros_like(labels, dtype=torch.bool)
        self.logits = self.images = torch.empty(0)

    def __call__(self, images: Tensor) -> Tensor:
        if not self.fooled.any():
            logits = self.craft(images)
        elif self.fooled.all():
            return self.logits + 0 * images.sum()  # which the package can still ask for a gradient
        else:
            logits = self.logits.index_put((~self.fooled,), self.craft(images[~self.fooled]))
        self._judge(images.detach(), logits.detach())
        return logits

    def put_found(self, images: Tensor) -> Tensor:
        """`images` with those that fooled in their places."""
        return torch.where(self.fooled[:, None, None, None], self.images, images) if self.fooled.any() else images

    def _judge(self, images: Tensor, logits: Tensor) -> None:
        moving = ~self.fooled
        new = moving.index_put((moving,), self.target.fooled(logits[moving], images[moving], self.labels[moving]))
        kept = self.images if self.fooled.any() else images
        self.images = torch.where(new[:, None, None, None], images, kept)
        self.logits, self.fooled = logits, self.fooled | new
