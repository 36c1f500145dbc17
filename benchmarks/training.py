"""Training speed: the loop against the bare step, the data pipeline against the step, and a plain script."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

from benchmarks.cifar import CLASSES, batches, network, random_batch, random_images, trainer
from benchmarks.timing import Row, medians, timed
from vsmooth import VirtualSmoothing, virtual_smoothing_loss
from vsmooth.data import ImageSet
from vsmooth.losses.objective import LabelObjective
from vsmooth.methods import Standard
from vsmooth.models import build_model
from vsmooth.train import Optimization, Precision, Trainer, best_precision, make_accelerator

NETWORK, BATCH, ALPHA, STEPS, ROUNDS = "resnet20", 128, 0.3, 24, 5


def rows() -> Iterator[Row]:
    """Loop against bare step, data against step, loop against a plain script (CIFAR-size ResNet-20)."""
    precision = best_precision()
    images = random_images(BATCH * STEPS)
    plain = _plain_script(images)
    times = medians(
        {
            "loop": lambda: _trainer(images, precision).train().seconds,
            "bare": lambda: _bare_seconds(precision),
            "data": lambda: timed(lambda: sum(len(batch.labels) for batch in batches(images, BATCH).epoch(0))),
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


def _trainer(images: ImageSet, precision: Precision) -> Trainer:
    method = Standard(LabelObjective(VirtualSmoothing(ALPHA)), CLASSES)
    return trainer(method, network(NETWORK), batches(images, BATCH), make_accelerator(precision))


def _bare_seconds(precision: Precision) -> float:
    """Forward, backward and optimizer step of a fresh network, as the loop's is, on one resident random batch."""
    model = network(NETWORK).train()
    optimizer = Optimization(learning_rate=0.01).build(model)
    images, labels = random_batch(BATCH)

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
    model = build_model(NETWORK, CLASSES, 3, (0.5,) * 3, (0.25,) * 3).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, weight_decay=5e-4)

    def epoch() -> None:
        for batch, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(batch), labels).backward()
            optimizer.step()

    return epoch
