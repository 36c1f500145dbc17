"""Distillation: what a teacher costs beside its own forward pass, and an epoch with its logits from a cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmarks.cifar import CLASSES, batches, network, random_batch, random_images, trainer
from benchmarks.timing import Row, medians, timed
from vsmooth import OneHot
from vsmooth.data import Augmentation, Batch, ImageSet
from vsmooth.losses.objective import LabelObjective
from vsmooth.methods import Distill, Method, NetworkTeacher, Standard, Teacher
from vsmooth.methods.teacher_cache import CachedTeacher, CacheKey, write_cache
from vsmooth.train import Optimization, Precision, best_precision, make_accelerator

BATCH, STEPS, VIEWS = 128, 16, 1
EPOCH_ROUNDS, STEP_ROUNDS = 5, 40


def rows() -> Iterator[Row]:
    """A ResNet-20 that teaches a ResNet-8, images of CIFAR's size."""
    precision, images = best_precision(), random_images(BATCH * STEPS)
    live = NetworkTeacher(
        network("resnet20", virtual=False), CLASSES, autocast=torch.bfloat16 if precision == "bf16" else None
    )
    plain, kd = Standard(LabelObjective(OneHot()), CLASSES), Distill(live, LabelObjective(OneHot()), CLASSES)
    name = f"KD, ResNet-20 to ResNet-8, batch {BATCH}, {precision}"
    step = medians(_steps(plain, kd, live.network, precision), STEP_ROUNDS, repeats=1)
    added = step["live"] - step["plain"]
    yield Row(f"{name}: added", "the teacher's bare forward pass", added / step["bare"], 1.03)
    with tempfile.TemporaryDirectory() as folder:
        from_cache = Distill(_cached(live, images, precision, Path(folder)), LabelObjective(OneHot()), CLASSES)
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


def _cached(teacher: Teacher, images: ImageSet, precision: Precision, folder: Path) -> CachedTeacher:
    key = CacheKey("benchmark", "real", CLASSES, precision, "random", len(images), Augmentation(), 0, VIEWS)
    write_cache(folder, key, teacher, batches(images, BATCH, shuffle=False, views=VIEWS))
    return CachedTeacher(folder, key)


def _epoch_seconds(method: Method, images: ImageSet, precision: Precision, views: int | None = None) -> float:
    torch.manual_seed(0)
    student, source = network("resnet8", virtual=False), batches(images, BATCH, views=views)
    return trainer(method, student, source, make_accelerator(precision)).train().seconds


def _steps(plain: Method, kd: Method, teacher: nn.Module, precision: Precision) -> dict[str, Callable[[], float]]:
    """Single steps of one student on one resident batch, and the teacher's forward pass on it."""
    batch = Batch(*random_batch(BATCH))
    student = network("resnet8", virtual=False).train()
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
            teacher(batch.images)

    calls: dict[str, Callable[[], None]] = {"plain": partial(step, plain), "live": partial(step, kd), "bare": bare}
    return {name: partial(timed, call) for name, call in calls.items()}
