"""What the benchmarks of training share: random images of CIFAR's size, networks, a trainer that keeps nothing."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from vsmooth import add_virtual_classes
from vsmooth.data import Augmentation, BatchPlan, BatchSource, ImageSet, Placement, make_batches
from vsmooth.methods import Method
from vsmooth.models import build_model, prefers_channels_last
from vsmooth.train import Optimization, Trainer

CLASSES = 10
CPU = torch.device("cpu")


def random_images(count: int) -> ImageSet:
    """The same ones every time."""
    torch.manual_seed(0)
    return ImageSet(torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8), torch.randint(0, CLASSES, (count,)))


def random_batch(size: int, device: torch.device = CPU) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in [0, 1] in the layout that is fastest on the device, and labels."""
    images = torch.rand(size, 3, 32, 32, device=device)
    if prefers_channels_last(device):
        images = images.contiguous(memory_format=torch.channels_last)
    return images, torch.randint(0, CLASSES, (size,), device=device)


def network(name: str, device: torch.device = CPU, *, virtual: bool = True) -> nn.Module:
    """A fresh network in the layout that is fastest on the device, with as many virtual as real classes or none."""
    model: nn.Module = build_model(name, CLASSES, 3, (0.5,) * 3, (0.25,) * 3)
    model = (add_virtual_classes(model) if virtual else model).to(device)
    return model.to(memory_format=torch.channels_last) if prefers_channels_last(device) else model


def batches(
    images: ImageSet, size: int, device: torch.device = CPU, *, shuffle: bool = True, views: int | None = None
) -> BatchSource:
    """Cropped and flipped, as in a training."""
    plan = BatchPlan(size, shuffle=shuffle, drop_last=True, augmentation=Augmentation(), views=views)
    return make_batches(images, plan, Placement(device, channels_last=prefers_channels_last(device)))


def trainer(
    method: Method,
    model: nn.Module,
    source: BatchSource,
    accelerator: Accelerator,
    *,
    epochs: int = 1,
    evaluate: Callable[[nn.Module], dict[str, float]] = lambda model: {},
) -> Trainer:
    """A trainer at a constant learning rate that saves no checkpoint."""
    return Trainer(
        method,
        model,
        source,
        evaluate,
        accelerator,
        epochs=epochs,
        optimization=Optimization(schedule="constant", learning_rate=0.01),
        # Of this process alone: what one that was stopped by a signal saved must not be resumed by the next.
        checkpoints=Path(tempfile.gettempdir()) / f"vsmooth-benchmark-{os.getpid()}",
        checkpoint_seconds=math.inf,
    )
