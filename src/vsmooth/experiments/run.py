"""One run: from a spec to a folder with weights, predictions and a record."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from vsmooth.data import Batches, Dataset, ImageSet
from vsmooth.evaluate import CleanMetrics, Predictions, evaluate_clean, predict
from vsmooth.experiments.record import RECORD_FILE, EpochRecord, RunRecord, read_json, read_record, write_json, write_record
from vsmooth.experiments.spec import RunSpec
from vsmooth.head import add_virtual_classes
from vsmooth.labels import VirtualSmoothing
from vsmooth.methods import Standard
from vsmooth.models import build_model
from vsmooth.train import (
    EpochLog,
    Listener,
    Trained,
    Trainer,
    load_weights,
    make_accelerator,
    prefers_channels_last,
    read_weights,
    save_weights,
)

SPEC_FILE = "spec.json"
WEIGHTS_FILE = "model.safetensors"
PREDICTIONS = {"test": "predictions-test.npz", "validation": "predictions-validation.npz"}
_CHECKPOINTS = "checkpoints"
_EVALUATION_BATCH = 500


def run_experiment(spec: RunSpec, dataset: Dataset, root: Path, listener: Listener | None = None) -> RunRecord:
    """Train and evaluate ``spec`` in ``root / spec.folder``; a finished run is read back, an unfinished one resumed.

    Raises:
        ValueError: the folder belongs to another experiment or other data, or the folder cannot be written.
        TrainingDivergedError, Interrupted, CheckpointError: as :meth:`Trainer.train`.
    """
    folder = root / spec.folder
    _claim_folder(folder, spec, dataset)
    if (folder / RECORD_FILE).is_file():
        return read_record(folder)
    accelerator = make_accelerator(
        spec.precision, accumulate=spec.optimization.accumulate, compile_model=spec.compile_model
    )
    train, validation = training_splits(spec, dataset)
    torch.manual_seed(spec.seed)
    model = _place(build_network(spec, dataset), accelerator.device)
    trained = _train(spec, dataset, model, train, validation, accelerator, folder, listener)
    if accelerator.is_main_process:
        _write_results(spec, dataset, validation, trained, folder)
    accelerator.wait_for_everyone()
    return read_record(folder)


def training_splits(spec: RunSpec, dataset: Dataset) -> tuple[ImageSet, ImageSet]:
    """Train and validation split; both are cut from the data set's train split, by ``split_seed`` alone."""
    limited = dataset if spec.train_limit is None else dataset.limited(spec.train_limit)
    return limited.split_validation(spec.validation_fraction, spec.split_seed)


def build_network(spec: RunSpec, dataset: Dataset) -> nn.Module:
    """The untrained network of ``spec``, with virtual classes if its label wants them."""
    mean, std = dataset.channel_statistics()
    channels, height, width = dataset.image_shape
    model = build_model(spec.model, dataset.num_classes, channels, mean, std, (height, width))
    if isinstance(spec.label, VirtualSmoothing):
        return add_virtual_classes(model, num_virtual_of(spec, dataset))
    return model


def num_virtual_of(spec: RunSpec, dataset: Dataset) -> int:
    """V: 0 unless the label is virtual smoothing."""
    return spec.label.width(dataset.num_classes) - dataset.num_classes


def read_spec(folder: Path) -> RunSpec:
    """The spec of a run folder.

    Raises:
        ValueError: the folder is not a run folder, or its spec is damaged.
    """
    file = folder / SPEC_FILE
    if not file.is_file():
        raise ValueError(f"{folder} is not a run folder: it has no {SPEC_FILE}; `vsmooth train` makes one")
    return RunSpec.from_json(read_json(file)["spec"])


def load_run(folder: Path, dataset: Dataset) -> nn.Module:
    """The trained network of a finished run, in train mode as it was built.

    Raises:
        CheckpointError: the weights are missing or damaged, or do not fit the network of the spec.
    """
    spec = read_spec(folder)
    model = build_network(spec, dataset)
    load_weights(model, read_weights(folder / WEIGHTS_FILE), folder / WEIGHTS_FILE)
    return model


def evaluate_run(folder: Path, dataset: Dataset) -> CleanMetrics:
    """Evaluate a finished run again and rewrite its test predictions and record."""
    spec = read_spec(folder)
    dataset_fits(folder, spec, dataset)
    model = _place(load_run(folder, dataset), make_accelerator(spec.precision).device)
    predictions = evaluate_split(model, dataset.test)
    predictions.save(folder / PREDICTIONS["test"])
    metrics = evaluate_clean(predictions)
    write_record(replace(read_record(folder), metrics=_finite_metrics(metrics)), folder)
    return metrics


def evaluate_split(model: nn.Module, split: ImageSet) -> Predictions:
    """One forward pass in fp32 over a split."""
    device = next(model.parameters()).device
    return predict(model, _evaluation_batches(split, device))


def dataset_fits(folder: Path, spec: RunSpec, dataset: Dataset) -> None:
    """Raise ``ValueError`` unless the run in ``folder`` is ``spec`` on just these images."""
    if read_spec(folder) != spec:
        raise ValueError(f"{folder} is a run of another experiment (see its {SPEC_FILE}); choose another --out")
    if read_json(folder / SPEC_FILE).get("data_fingerprint") != dataset.fingerprint:
        raise ValueError(
            f"{folder} was trained on other images: the data behind {spec.data!r} changed since; choose another --out"
        )


def _claim_folder(folder: Path, spec: RunSpec, dataset: Dataset) -> None:
    """Write ``spec.json``, or check the one that is there."""
    if (folder / SPEC_FILE).is_file():
        return dataset_fits(folder, spec, dataset)
    try:
        write_json(folder / SPEC_FILE, {"spec": spec.to_json(), "data_fingerprint": dataset.fingerprint})
    except OSError as error:
        raise ValueError(f"cannot write to the output folder {folder}: {error.strerror or error}") from error


def _place(model: nn.Module, device: torch.device) -> nn.Module:
    if prefers_channels_last(device):
        return model.to(device, memory_format=torch.channels_last)
    return model.to(device)


def _train(
    spec: RunSpec,
    dataset: Dataset,
    model: nn.Module,
    train: ImageSet,
    validation: ImageSet,
    accelerator: Accelerator,
    folder: Path,
    listener: Listener | None,
) -> Trained:
    batches = Batches(
        train,
        spec.batch_size,
        augmentation=spec.augmentation,
        shuffle=True,
        seed=spec.seed,
        drop_last=True,
        device=accelerator.device,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        channels_last=prefers_channels_last(accelerator.device),
    )
    held_out = _evaluation_batches(validation, accelerator.device)

    def evaluate(network: nn.Module) -> dict[str, float]:
        metrics = evaluate_clean(predict(network, held_out))
        return {name: getattr(metrics, name) for name in ("accuracy", "nll", "ece", "mean_confidence")}

    trainer = Trainer(
        Standard(spec.label, dataset.num_classes),
        model,
        batches,
        evaluate,
        accelerator,
        epochs=spec.epochs,
        optimization=spec.optimization,
        checkpoints=folder / _CHECKPOINTS,
        listener=listener,
    )
    return trainer.train()


def _evaluation_batches(split: ImageSet, device: torch.device) -> _Repeated:
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

    def __iter__(self):  # type: ignore[no-untyped-def]
        return self.batches.epoch(0)


def _write_results(spec: RunSpec, dataset: Dataset, validation: ImageSet, trained: Trained, folder: Path) -> None:
    predictions = {
        name: evaluate_split(trained.model, split)
        for name, split in (("test", dataset.test), ("validation", validation))
    }
    for name, logits in predictions.items():
        logits.save(folder / PREDICTIONS[name])
    save_weights(folder / WEIGHTS_FILE, trained.model.state_dict())
    write_record(_record(spec, dataset, trained, evaluate_clean(predictions["test"])), folder)
    shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)  # the record is written: nothing is left to resume


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
        metrics=_finite_metrics(metrics),
        train_seconds=trained.seconds,
        images_per_second=trained.images_per_second,
        history=tuple(_epoch_record(log) for log in trained.history),
        folder=spec.folder,
    )


def _finite_metrics(metrics: CleanMetrics) -> dict[str, float]:
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
