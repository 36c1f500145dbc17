"""Distillation: what a teacher costs beside its own forward pass, and an epoch with its logits from a cache."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks.timing import Row, medians, timed
from vsmooth import OneHot
from vsmooth.data import Augmentation, Batch, Batches, ImageSet
from vsmooth.methods import Distill, Method, NetworkTeacher, Standard, Teacher
from vsmooth.methods.teacher_cache import CachedTeacher, CacheKey, write_cache
from vsmooth.models import build_model
from vsmooth.train import Optimization, Precision, Trainer, best_precision, make_accelerator

BATCH, CLASSES, STEPS, VIEWS = 128, 10, 16, 1
EPOCH_ROUNDS, STEP_ROUNDS = 5, 40


def rows() -> Iterator[Row]:
    """A ResNet-20 that teaches a ResNet-8, images of CIFAR's size."""
    precision, images = best_precision(), _random_images()
    live = NetworkTeacher(_network("resnet20"), CLASSES, autocast=torch.bfloat16 if precision == "bf16" else None)
    plain, kd = Standard(OneHot(), CLASSES), Distill(live, OneHot(), CLASSES)
    name = f"KD, ResNet-20 to ResNet-8, batch {BATCH}, {precision}"
    step = medians(_steps(plain, kd, live.network, precision), STEP_ROUNDS, repeats=1)
    added = step["live"] - step["plain"]
    yield Row(f"{name}: added", "the teacher's bare forward pass", added / step["bare"], 1.03)
    with tempfile.TemporaryDirectory() as folder:
        from_cache = Distill(_cached(live, images, precision, Path(folder)), OneHot(), CLASSES)
        epoch = medians(
            {
                "plain": lambda: _epoch_seconds(plain, images, precision),
                "live": lambda: _epoch_seconds(kd, images, precision),
                "cached": lambda: _epoch_seconds(from_cache, images, precision, VIEWS),
            },
            EPOCH_ROUNDS,
            repeats=1,
        )
    yield Row(f"{name}: epoch, cache", "the epoch without a teacher", epoch["cached"] / epoch["plain"], 1.05)
    yield Row(f"{name}: epoch, cache", "the epoch with a live teacher", epoch["cached"] / epoch["live"], 1.0)


def _random_images() -> ImageSet:
    torch.manual_seed(0)
    count = BATCH * STEPS
    return ImageSet(torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8), torch.randint(0, CLASSES, (count,)))


def _network(name: str) -> nn.Module:
    return build_model(name, CLASSES, 3, (0.5,) * 3, (0.25,) * 3).to(memory_format=torch.channels_last)


def _batches(images: ImageSet, views: int | None, shuffle: bool = True) -> Batches:
    augmentation = Augmentation()
    return Batches(
        images,
        BATCH,
        augmentation=augmentation,
        shuffle=shuffle,
        drop_last=True,
        device="cpu",
        channels_last=True,
        views=views,
    )


def _cached(teacher: Teacher, images: ImageSet, precision: Precision, folder: Path) -> CachedTeacher:
    key = CacheKey("benchmark", "real", CLASSES, precision, "random", len(images), Augmentation(), 0, VIEWS)
    write_cache(folder, key, teacher, _batches(images, VIEWS, shuffle=False))
    return CachedTeacher(folder, key)


def _epoch_seconds(method: Method, images: ImageSet, precision: Precision, views: int | None = None) -> float:
    torch.manual_seed(0)
    trainer = Trainer(
        method,
        _network("resnet8"),
        _batches(images, views),
        lambda model: {},
        make_accelerator(precision),
        epochs=1,
        optimization=Optimization(schedule="constant", learning_rate=0.01),
        checkpoints=Path(tempfile.gettempdir()) / "vsmooth-benchmark-without-checkpoints",
        checkpoint_seconds=math.inf,
    )
    return trainer.train().seconds


def _steps(plain: Method, kd: Method, teacher: nn.Module, precision: Precision) -> dict[str, Callable[[], float]]:
    """Single steps of one student on one resident batch, and the teacher's forward pass on it."""
    images = torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    batch = Batch(images, torch.randint(0, CLASSES, (BATCH,)))
    student = _network("resnet8").train()
    optimizer = Optimization(learning_rate=0.01).build(student)
    half = partial(torch.autocast, "cpu", torch.bfloat16, enabled=precision == "bf16")

    def step(method: Method) -> None:
        with half():
            loss = method.loss(student, method.craft(student, batch)).total
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def bare() -> None:
        with torch.no_grad(), half():
            teacher(images)

    calls: dict[str, Callable[[], None]] = {"plain": partial(step, plain), "live": partial(step, kd), "bare": bare}
    return {name: partial(timed, call) for name, call in calls.items()}
