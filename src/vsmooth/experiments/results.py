"""What a run's folder holds at the end: weights, predictions, the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from vsmooth.data import Batch, Batches, Dataset, ImageSet
from vsmooth.evaluate import CleanMetrics, Predictions, evaluate_clean, predict
from vsmooth.experiments.record import PREDICTIONS_FILE, EpochRecord, RunRecord, write_record
from vsmooth.experiments.spec import RunSpec
from vsmooth.train import CheckpointError, EpochLog, Trained, prefers_channels_last, save_weights

WEIGHTS_FILE = "model.safetensors"
PREDICTIONS = {"test": PREDICTIONS_FILE, "validation": "predictions-validation.npz"}
_EVALUATION_BATCH = 500


def num_virtual_of(spec: RunSpec, dataset: Dataset) -> int:
    """V: 0 unless the label is virtual smoothing."""
    return spec.label.width(dataset.num_classes) - dataset.num_classes


def evaluate_split(model: nn.Module, split: ImageSet) -> Predictions:
    """One forward pass in fp32 over a split."""
    device = next(model.parameters()).device
    return predict(model, evaluation_batches(split, device))


def evaluation_batches(split: ImageSet, device: torch.device) -> _Repeated:
    """The images of a split in their order, to be iterated as often as wanted."""
    batches = Batches(
        split,
        min(_EVALUATION_BATCH, len(split)),
        shuffle=False,
        drop_last=False,
        device=device,
        channels_last=prefers_channels_last(device),
    )
    return _Repeated(batches)


class _Repeated:
    """The one unshuffled epoch of ``batches``, as often as it is asked for."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return self.batches.epoch(0)


def write_results(spec: RunSpec, dataset: Dataset, validation: ImageSet, trained: Trained, folder: Path) -> None:
    """Evaluate, then write predictions, weights and, last, the record: a folder with a record is a finished run.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; the run stays unfinished.
    """
    predictions = {
        name: evaluate_split(trained.model, split)
        for name, split in (("test", dataset.test), ("validation", validation))
    }
    record = _record(spec, dataset, trained, evaluate_clean(predictions["test"]))
    try:
        for name, logits in predictions.items():
            logits.save(folder / PREDICTIONS[name])
        save_weights(folder / WEIGHTS_FILE, trained.model.state_dict())
        write_record(record, folder)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot write the results in {folder}: {error}; its checkpoints are kept. Free space or fix permissions, "
            "then run the same command again to resume"
        ) from error


def _record(spec: RunSpec, dataset: Dataset, trained: Trained, metrics: CleanMetrics) -> RunRecord:
    return RunRecord(
        label=spec.label.name,
        alpha=spec.label.alpha,
        num_virtual=num_virtual_of(spec, dataset),
        seed=spec.seed,
        data=spec.data,
        model=spec.model,
        epochs=spec.epochs,
        parameters=sum(p.numel() for p in trained.model.parameters()),
        num_classes=dataset.num_classes,
        metrics=finite_metrics(metrics),
        train_seconds=trained.seconds,
        images_per_second=trained.images_per_second,
        history=tuple(_epoch_record(log) for log in trained.history),
        folder=spec.folder,
    )


def finite_metrics(metrics: CleanMetrics) -> dict[str, float]:
    """The metrics by name, without those that K is too small for."""
    return {name: value for name, value in asdict(metrics).items() if value is not None}


def _epoch_record(log: EpochLog) -> EpochRecord:
    return EpochRecord(
        epoch=log.epoch,
        loss=log.loss,
        learning_rate=log.learning_rate,
        seconds=log.seconds,
        images_per_second=log.images_per_second,
        validation_accuracy=log.metrics["accuracy"],
        validation_nll=log.metrics["nll"],
        validation_ece=log.metrics["ece"],
        validation_confidence=log.metrics["mean_confidence"],
    )
