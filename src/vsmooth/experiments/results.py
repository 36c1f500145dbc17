"""Results in a run's folder: weights, predictions, the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from vsmooth.data import BatchPlan, BatchSource, Dataset, Placement, Split, make_batches
from vsmooth.digests import digest_of
from vsmooth.evaluate import CleanMetrics, Predictions, evaluate_clean, gather_predictions, part_of, predict
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.variants import variant_of
from vsmooth.models import prefers_channels_last
from vsmooth.records.run import BEST_WEIGHTS_FILE, PREDICTIONS, WEIGHTS_FILE, BestEpoch, RunRecord, write_record
from vsmooth.records.teacher import TeacherRecord
from vsmooth.train import CheckpointError, Trained, save_weights

Evaluator = Callable[[nn.Module], Predictions]
_ROUNDING = 1e-4
_SMALLEST_BATCH, _LARGEST_BATCH = 16, 500
_PIXELS = _LARGEST_BATCH * 64 * 64  # of one channel in a batch


def num_virtual_of(spec: RunSpec, num_classes: int) -> int:
    """How many logits a network has in training beyond the K real ones: reject and virtual classes."""
    return spec.method.num_reject(num_classes) + spec.objective.num_virtual(num_classes)


def evaluate_split(model: nn.Module, split: Split, accelerator: Accelerator, workers: int | None = None) -> Predictions:
    """One forward pass in fp32 over a split, shared by all processes; each gets all predictions."""
    return split_evaluator(split, accelerator, workers)(model)


def split_evaluator(split: Split, accelerator: Accelerator, workers: int | None = None) -> Evaluator:
    """:func:`evaluate_split` for one network after another: this process's part is cut, and its workers start, once."""
    part = split.subset(part_of(len(split), accelerator.process_index, accelerator.num_processes))
    batches = evaluation_batches(part, accelerator.device, workers)
    return lambda model: gather_predictions(predict(model, batches.epoch(0)), accelerator)


def evaluation_batches(split: Split, device: torch.device, workers: int | None = None) -> BatchSource:
    """The images of a split in their order, unchanged (streamed ones resized and cropped)."""
    _, height, width = split.image_shape
    size = max(_SMALLEST_BATCH, min(_LARGEST_BATCH, _PIXELS // (height * width)))
    plan = BatchPlan(min(size, len(split)), shuffle=False, drop_last=False)
    return make_batches(split, plan, Placement(device, channels_last=prefers_channels_last(device), workers=workers))


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is known of a training at its end.

    predictions: by split. metrics: of the test split besides those of the predictions. best_metrics: all test metrics
    of the best weights; ``None`` where none are kept. teacher: of a student.
    """

    trained: Trained
    predictions: Mapping[str, Predictions]
    metrics: Mapping[str, float]
    best_metrics: Mapping[str, float] | None = None
    teacher: TeacherRecord | None = None


def write_results(spec: RunSpec, dataset: Dataset, outcome: Outcome, folder: Path) -> None:
    """Write predictions, weights and, last, the record: a folder with a record is a finished run.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; the run stays unfinished.
    """
    trained = outcome.trained
    record = _record(spec, dataset, outcome)
    networks = {WEIGHTS_FILE: trained.model, BEST_WEIGHTS_FILE: trained.best}
    try:
        digests = save_predictions(outcome.predictions, folder)
        for name, network in networks.items():
            if network is not None:
                digests[name] = save_weights(folder / name, network.state_dict())
        write_record(replace(record, digests=digests), folder)
    except OSError as error:
        raise CheckpointError(
            f"cannot write the results in {folder}: {error.strerror or error}; its checkpoints are kept. Free space or "
            "fix permissions, then run the same command again to resume"
        ) from error


def save_predictions(predictions: Mapping[str, Predictions], folder: Path) -> dict[str, str]:
    """Write the predictions of some splits; the digest of each file by its name."""
    for split, logits in predictions.items():
        logits.save(folder / PREDICTIONS[split])
    names = [PREDICTIONS[split] for split in predictions]
    return {name: digest_of(folder / name) for name in names}


def check_same_metrics(record: RunRecord, found: Mapping[str, float], folder: Path) -> None:
    """Raise ``ValueError`` unless a second evaluation found the record's metrics.

    Other hardware adds up in another order: allowed are 1e-4 of a metric (and 1e-4 where it is below 1), and one image
    of all, whose two best classes are so close that rounding decides.
    """
    slack = {name: _ROUNDING * max(1.0, abs(value)) + 1 / found["samples"] for name, value in found.items()}
    differing = [
        f"{name} {value:.6g} instead of {record.value(name):.6g}"
        for name, value in found.items()
        if not abs(value - record.value(name)) <= slack[name]
    ]
    if differing:
        raise ValueError(
            f"the run in {folder} is not what its record says: {', '.join(differing)}. Weights and images are those of "
            "its training, so the software or the hardware computes something else; nothing was written. Evaluate it "
            "as it was trained, or train again in another --out"
        )


def _record(spec: RunSpec, dataset: Dataset, outcome: Outcome) -> RunRecord:
    trained, best = outcome.trained, None
    if outcome.best_metrics is not None and spec.method.selected_by is not None:
        best = BestEpoch(trained.best_epoch, spec.method.selected_by, dict(outcome.best_metrics))
    return RunRecord(
        variant=variant_of(spec, dataset.num_classes, outcome.teacher),
        seed=spec.seed,
        data=spec.data,
        model=spec.model,
        epochs=spec.epochs,
        parameters=sum(p.numel() for p in trained.model.parameters()),
        num_classes=dataset.num_classes,
        metrics={**finite_metrics(evaluate_clean(outcome.predictions["test"])), **outcome.metrics},
        train_seconds=trained.seconds,
        images_per_second=trained.images_per_second,
        history=trained.history,
        folder=spec.folder,
        environments=trained.environments,
        best=best,
        notices=trained.notices,
    )


def finite_metrics(metrics: CleanMetrics) -> dict[str, float]:
    """The metrics by name, without those that K is too small for."""
    return {name: float(value) for name, value in asdict(metrics).items() if value is not None}
