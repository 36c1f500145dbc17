"""A dry run: a training is built and timed for a few steps; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from vsmooth.data import Batch, BatchSource, Dataset, Split, StreamedBatches
from vsmooth.experiments.environment import device_name
from vsmooth.experiments.prepare import prepare
from vsmooth.experiments.results import evaluate_split
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.teaching.lesson import TeacherSource
from vsmooth.head import virtual_heads
from vsmooth.memory import peak_memory
from vsmooth.train import Execution, Trainer
from vsmooth.train.tracking import check_tracker

_WARM_UP, _TIMED = 3, 10
_WARM_UP_PATIENCE, _PATIENCE = 30.0, 60.0  # seconds after which a slow machine makes do with fewer steps
_AHEAD = 2  # batches that each of torch's workers decodes ahead
_RATES = 240


@dataclass(frozen=True)
class DryRun:
    """What a training would be.

    parameters: all of the network in training, ``virtual_parameters`` of them for the virtual classes, which inference
    does not compute.
    steps_per_epoch: batches. optimizer_steps: over the whole training; fewer than batches if gradients are accumulated.
    learning_rates: of up to 240 equally spaced optimizer steps, the first and the last among them.
    timed_seconds: of ``timed_steps`` batches, data included, after warm-up; ten, fewer where they take over a minute.
    teacher_seconds: that the teacher takes of a step; 0 without one. kept_views: those whose logits a cache keeps.
    decoding_seconds: that the workers of a streamed set need for one batch, without training; 0 for a set in memory.
    train_seconds, evaluation_seconds: estimated for the whole run, training from the slower of steps and decoding, with
    a teacher whose logits are kept looking at each view once; evaluation is that of the validation split after each
    epoch, and of validation and test split at the end.
    memory_bytes: a peak after the timed steps; ``memory`` says of what.
    Limits: whatever else the machine does at the time counts as work of the training.
    """

    device: str
    processes: int
    parameters: int
    virtual_parameters: int
    train_images: int
    validation_images: int
    steps_per_epoch: int
    optimizer_steps: int
    learning_rates: tuple[float, ...]
    timed_steps: int
    timed_seconds: float
    teacher_seconds: float
    kept_views: int | None
    decoding_seconds: float
    train_seconds: float
    evaluation_seconds: float
    memory_bytes: int | None
    memory: str

    @property
    def seconds(self) -> float:
        """Estimated seconds of the whole run."""
        return self.train_seconds + self.evaluation_seconds

    @property
    def waits_for_data(self) -> bool:
        """Whether decoding is slower than training."""
        return self.decoding_seconds > self.timed_seconds / self.timed_steps


def dry_run(
    spec: RunSpec, dataset: Dataset, execution: Execution | None = None, teacher: TeacherSource | None = None
) -> DryRun:
    """Build ``spec`` as a run would, train a few steps, evaluate a few images, and throw it away.

    ``teacher`` is the one whose fingerprint ``spec.method`` has; it looks at every batch, and nothing is kept.

    Raises:
        ValueError, ModuleNotFoundError: as a run would.
        TrainingDivergedError: the loss is not finite within the first steps.
    """
    execution = execution or Execution()
    if execution.track is not None:
        check_tracker(execution.track)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    prepared = prepare(spec, dataset, execution, teacher, checkpoints=Path())  # only single steps: none is written
    accelerator, trainer, lesson = prepared.accelerator, prepared.trainer, prepared.lesson
    train, validation = prepared.train, prepared.validation
    batches = _endless(trainer.batches)
    _take_steps(trainer, batches, _WARM_UP, _WARM_UP_PATIENCE)
    timed_steps, timed_seconds = _take_steps(trainer, batches, _TIMED, _PATIENCE)
    teacher_seconds = 0.0 if lesson is None else _crafting_seconds(trainer, batches, timed_steps)
    decoding_seconds = _decoding_seconds(trainer.batches, batches)
    step_seconds = timed_seconds / timed_steps
    train_seconds = max(step_seconds, decoding_seconds) * trainer.total
    kept_views = None if lesson is None else lesson.kept_views
    if kept_views is not None:
        train_seconds = max(step_seconds - teacher_seconds, decoding_seconds) * trainer.total
        train_seconds += max(teacher_seconds, decoding_seconds) * kept_views * len(trainer.batches)
    memory_bytes, memory = _peak_memory(accelerator.device)
    evaluated = spec.epochs * len(validation) + len(validation) + len(dataset.test)
    return DryRun(
        device=device_name(accelerator.device),
        processes=accelerator.num_processes,
        parameters=_count(trainer.network),
        virtual_parameters=_count_virtual(trainer.network),
        train_images=len(train),
        validation_images=len(validation),
        steps_per_epoch=len(trainer.batches),
        optimizer_steps=trainer.total // spec.optimization.accumulate,
        learning_rates=_learning_rates(spec, trainer.total // spec.optimization.accumulate),
        timed_steps=timed_steps,
        timed_seconds=timed_seconds,
        teacher_seconds=teacher_seconds,
        kept_views=kept_views,
        decoding_seconds=decoding_seconds,
        train_seconds=train_seconds,
        evaluation_seconds=evaluated * _seconds_per_image(spec, dataset.test, trainer.network, accelerator, execution),
        memory_bytes=memory_bytes,
        memory=memory,
    )


def _endless(batches: BatchSource) -> Iterator[Batch]:
    for epoch in count():
        yield from batches.epoch(epoch)


def _take_steps(trainer: Trainer, batches: Iterator[Batch], most: int, patience: float) -> tuple[int, float]:
    """Steps taken and their seconds; several processes always take all, or some would wait for the others."""
    trainer.model.train()
    alone = trainer.accelerator.num_processes == 1
    began, done = time.perf_counter(), 0
    while done < most and not (done and alone and time.perf_counter() - began > patience):
        trainer.train_step(next(batches))
        done += 1
    _wait_for(trainer.accelerator.device)
    return done, time.perf_counter() - began


def _crafting_seconds(trainer: Trainer, batches: Iterator[Batch], times: int) -> float:
    """What a step crafts before its loss, for one batch; a teacher's logits."""
    batch = next(batches)
    began = time.perf_counter()
    for _ in range(times):
        trainer.method.craft(trainer.model, batch)
    _wait_for(trainer.accelerator.device)
    return (time.perf_counter() - began) / times


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize()


def _decoding_seconds(source: BatchSource, batches: Iterator[Batch]) -> float:
    """What was decoded ahead during the steps is used up first: it would hide that workers cannot keep up."""
    if not isinstance(source, StreamedBatches) or not source.workers:
        return 0.0
    for _ in range(_AHEAD * source.workers):
        next(batches)
    timed = max(source.workers, _TIMED)
    began = time.perf_counter()
    for _ in range(timed):
        next(batches)
    return (time.perf_counter() - began) / timed


def _seconds_per_image(
    spec: RunSpec, split: Split, model: nn.Module, accelerator: Accelerator, execution: Execution
) -> float:
    sample = split.subset(torch.arange(min(len(split), spec.batch_size)))
    evaluate_split(model, sample, accelerator, execution.workers)
    began = time.perf_counter()
    evaluate_split(model, sample, accelerator, execution.workers)
    return (time.perf_counter() - began) / len(sample)


def _learning_rates(spec: RunSpec, total: int) -> tuple[float, ...]:
    points = min(total, _RATES)
    steps = (round(index * (total - 1) / max(1, points - 1)) for index in range(points))
    return tuple(spec.optimization.learning_rate_at(step, total) for step in steps)


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _count_virtual(model: nn.Module) -> int:
    return sum(p[head.num_classes :].numel() for _, head in virtual_heads(model) for p in head.parameters())


def _peak_memory(device: torch.device) -> tuple[int | None, str]:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "peak of the tensors on the GPU"
    if device.type == "mps":
        return torch.mps.driver_allocated_memory(), "held by Metal after the timed steps"
    return peak_memory(), "peak of the whole process, images and libraries included"
