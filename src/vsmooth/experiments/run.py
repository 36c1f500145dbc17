"""One run: from a spec to a folder with weights, predictions and a record."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from vsmooth.data import Batches, Dataset, ImageSet
from vsmooth.evaluate import CleanMetrics, evaluate_clean, predict
from vsmooth.experiments.json_files import read_json, write_json
from vsmooth.experiments.record import RECORD_FILE, RunRecord, read_record, write_record
from vsmooth.experiments.results import (
    PREDICTIONS,
    WEIGHTS_FILE,
    evaluate_split,
    evaluation_batches,
    finite_metrics,
    num_virtual_of,
    write_results,
)
from vsmooth.experiments.spec import RunSpec
from vsmooth.head import add_virtual_classes
from vsmooth.labels import VirtualSmoothing
from vsmooth.methods import Standard
from vsmooth.models import build_model
from vsmooth.train import (
    Listener,
    Trained,
    Trainer,
    load_weights,
    make_accelerator,
    prefers_channels_last,
    read_weights,
)

SPEC_FILE = "spec.json"
_CHECKPOINTS = "checkpoints"


def run_experiment(spec: RunSpec, dataset: Dataset, root: Path, listener: Listener | None = None) -> RunRecord:
    """Train and evaluate ``spec`` in ``root / spec.folder``; a finished run is read back, an unfinished one resumed.

    Raises:
        ValueError: the folder belongs to another experiment or other data, or the folder cannot be written.
        TrainingDivergedError, Interrupted: as :meth:`Trainer.train`.
        CheckpointError: a checkpoint or the results could not be written.
    """
    folder = root / spec.folder
    claimed = (folder / SPEC_FILE).is_file()
    if claimed:
        dataset_fits(folder, spec, dataset)
    if not (claimed and (folder / RECORD_FILE).is_file()):
        _train_and_write(spec, dataset, folder, listener)
    shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)  # the record is written: nothing is left to resume
    return read_record(folder)


def _train_and_write(spec: RunSpec, dataset: Dataset, folder: Path, listener: Listener | None) -> None:
    accelerator = make_accelerator(
        spec.precision, accumulate=spec.optimization.accumulate, compile_model=spec.compile_model
    )
    train, validation = training_splits(spec, dataset)
    batches = _training_batches(spec, train, accelerator)
    torch.manual_seed(spec.seed)
    model = _place(build_network(spec, dataset), accelerator.device)
    _claim_folder(folder, spec, dataset)  # only now: a spec that cannot be built leaves no folder
    trained = _train(spec, dataset, model, batches, validation, accelerator, folder, listener)
    if accelerator.is_main_process:
        write_results(spec, dataset, validation, trained, folder)
    accelerator.wait_for_everyone()


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


def read_spec(folder: Path) -> RunSpec:
    """The spec of a run folder.

    Raises:
        ValueError: the folder is not a run folder, or its spec is damaged.
    """
    file = folder / SPEC_FILE
    if not file.is_file():
        raise ValueError(f"{folder} is not a run folder: it has no {SPEC_FILE}; `vsmooth train` makes one")
    stored = read_json(file).get("spec")
    if not isinstance(stored, dict):
        raise ValueError(f"{file} holds no spec; delete {folder} and run again")
    return RunSpec.from_json(stored)


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
    """Evaluate a finished run again and rewrite its test predictions and record.

    Raises:
        ValueError: not a run folder, not finished, or its images changed.
        CheckpointError: the weights are missing or damaged.
    """
    spec = read_spec(folder)
    if not (folder / RECORD_FILE).is_file():
        raise ValueError(f"the run in {folder} is not finished: run the command that began it again")
    record = read_record(folder)
    dataset_fits(folder, spec, dataset)
    model = _place(load_run(folder, dataset), make_accelerator(spec.precision).device)
    predictions = evaluate_split(model, dataset.test)
    predictions.save(folder / PREDICTIONS["test"])
    metrics = evaluate_clean(predictions)
    write_record(replace(record, metrics=finite_metrics(metrics)), folder)
    return metrics


def dataset_fits(folder: Path, spec: RunSpec, dataset: Dataset) -> None:
    """Raise ``ValueError`` unless the run in ``folder`` is ``spec`` on just these images."""
    if read_spec(folder) != spec:
        raise ValueError(f"{folder} is a run of another experiment (see its {SPEC_FILE}); choose another --out")
    if read_json(folder / SPEC_FILE).get("data_fingerprint") != dataset.fingerprint:
        raise ValueError(
            f"{folder} was trained on other images: the data behind {spec.data!r} changed since; choose another --out"
        )


def _claim_folder(folder: Path, spec: RunSpec, dataset: Dataset) -> None:
    if (folder / SPEC_FILE).is_file():
        return
    try:
        write_json(folder / SPEC_FILE, {"spec": spec.to_json(), "data_fingerprint": dataset.fingerprint})
    except OSError as error:
        raise ValueError(f"cannot write to the output folder {folder}: {error.strerror or error}") from error


def _place(model: nn.Module, device: torch.device) -> nn.Module:
    if prefers_channels_last(device):
        return model.to(device).to(memory_format=torch.channels_last)
    return model.to(device)


def _training_batches(spec: RunSpec, train: ImageSet, accelerator: Accelerator) -> Batches:
    return Batches(
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


def _train(
    spec: RunSpec,
    dataset: Dataset,
    model: nn.Module,
    batches: Batches,
    validation: ImageSet,
    accelerator: Accelerator,
    folder: Path,
    listener: Listener | None,
) -> Trained:
    held_out = evaluation_batches(validation, accelerator.device)

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
