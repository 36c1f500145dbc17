"""Training speed: the loop against the bare step, the data pipeline against the step, and a plain script."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from benchmarks.timing import Row, medians, timed
from vsmooth import VirtualSmoothing, add_virtual_classes, virtual_smoothing_loss
from vsmooth.data import Augmentation, Batches, ImageSet
from vsmooth.methods import Standard
from vsmooth.models import build_model
from vsmooth.train import Optimization, Precision, Trainer, best_precision, make_accelerator

BATCH, CLASSES, ALPHA, STEPS, ROUNDS = 128, 10, 0.3, 24, 5


def rows() -> Iterator[Row]:
    """Loop against bare step, data against step, loop against a plain script (CIFAR-size ResNet-20)."""
    precision = best_precision()
    images = _random_images(BATCH * STEPS)
    plain = _plain_script(images)
    times = medians(
        {
            "loop": lambda: _trainer(images, precision).train().seconds,
            "bare": lambda: _bare_seconds(precision),
            "data": lambda: timed(lambda: sum(len(batch.labels) for batch in _batches(images).epoch(0))),
            "plain": lambda: timed(plain),
        },
        ROUNDS,
        repeats=1,
    )
    name = f"ResNet-20, batch {BATCH}, {precision}"
    yield Row(f"{name}: training loop", "images/s of the bare step", times["bare"] / times["loop"], 0.95, at_least=True)
    yield Row(f"{name}: data", "time of the bare step", times["data"] / times["bare"], 0.05)
    against = "images/s of a DataLoader + fp32 script"
    yield Row(f"{name}: training loop", against, times["plain"] / times["loop"], 1.0, at_least=True)


def _random_images(count: int) -> ImageSet:
    torch.manual_seed(0)
    return ImageSet(torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8), torch.randint(0, CLASSES, (count,)))


def _network() -> nn.Module:
    model = add_virtual_classes(build_model("resnet20", CLASSES, 3, (0.5,) * 3, (0.25,) * 3))
    return model.to(memory_format=torch.channels_last)


def _batches(images: ImageSet) -> Batches:
    augmentation = Augmentation()
    return Batches(
        images, BATCH, augmentation=augmentation, shuffle=True, drop_last=True, device="cpu", channels_last=True
    )


def _trainer(images: ImageSet, precision: Precision) -> Trainer:
    return Trainer(
        Standard(VirtualSmoothing(ALPHA), CLASSES),
        _network(),
        _batches(images),
        lambda model: {},
        make_accelerator(precision),
        epochs=1,
        optimization=Optimization(schedule="constant", learning_rate=0.01),
        checkpoints=Path(tempfile.gettempdir()) / "vsmooth-benchmark-without-checkpoints",
        checkpoint_seconds=math.inf,
    )


def _bare_seconds(precision: Precision) -> float:
    """Forward, backward and optimizer step of a fresh network, as the loop's is, on one resident random batch."""
    model = _network().train()
    optimizer = Optimization(learning_rate=0.01).build(model)
    images = torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (BATCH,))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = virtual_smoothing_loss(model(images), labels, CLASSES, ALPHA)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def steps() -> None:
        for _ in range(STEPS):
            step()

    return timed(steps)


def _plain_script(images: ImageSet) -> Callable[[], None]:
    """What one would write first: torchvision transforms an image at a time, a DataLoader, fp32."""
    to_float = v2.ToDtype(torch.float32, scale=True)
    transform = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), to_float])

    class Transformed(TensorDataset):
        def __getitem__(self, index: int) -> tuple[Tensor, ...]:
            image, label = super().__getitem__(index)
            return transform(image), label

    loader = DataLoader(Transformed(images.images, images.labels), BATCH, shuffle=True, drop_last=True)
    model = build_model("resnet20", CLASSES, 3, (0.5,) * 3, (0.25,) * 3).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, weight_decay=5e-4)

    def epoch() -> None:
        for batch, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(batch), labels).backward()
            optimizer.step()

    return epoch
