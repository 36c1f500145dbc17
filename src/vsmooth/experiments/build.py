"""From a spec to the objects of its training: splits, batches, network."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import nn

from vsmooth.data import BatchPlan, BatchSource, Dataset, Paired, Placement, Split, make_batches
from vsmooth.data.storage.dataset import Statistics
from vsmooth.evaluate.predict import evaluation_mode
from vsmooth.experiments.initial import start_from
from vsmooth.experiments.outliers import outlier_batches
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.head import add_virtual_classes
from vsmooth.models import build_model, checkpoint_blocks, prefers_channels_last
from vsmooth.train import Execution, synchronise_batchnorm


def training_splits(spec: RunSpec, dataset: Dataset) -> tuple[Split, Split]:
    """Train and validation split; both are cut from the data set's train split, by ``split_seed`` alone."""
    limited = dataset if spec.train_limit is None else dataset.limited(spec.train_limit)
    return limited.split_validation(spec.validation_fraction, spec.split_seed)


def build_network(spec: RunSpec, dataset: Dataset) -> nn.Module:
    """The untrained network of ``spec``, with virtual classes if its objective wants them."""
    return network_for(spec, dataset.num_classes, dataset.image_shape, dataset.channel_statistics())


def network_for(
    spec: RunSpec, num_classes: int, image_shape: tuple[int, int, int], statistics: Statistics | None = None
) -> nn.Module:
    """The untrained network of ``spec`` for images (C, H, W); without statistics its weights must bring them."""
    mean, std = statistics or (None, None)
    channels, height, width = image_shape
    model = build_model(spec.model, num_classes, channels, mean, std, (height, width), spec.drop_path)
    labels = spec.objective.virtual_labels
    # Reject classes are rows that inference does not compute, as virtual ones are: neither is ever predicted.
    reject = spec.method.num_reject(num_classes)
    if labels and labels.collapsed and reject:
        raise ValueError(f"reject classes need a row for each virtual class, {spec.objective.text} has one")
    if labels:
        return add_virtual_classes(model, reject + labels.count(num_classes), collapsed=labels.collapsed)
    return add_virtual_classes(model, reject) if reject else model


def prepared_network(spec: RunSpec, dataset: Dataset, accelerator: Accelerator, execution: Execution) -> nn.Module:
    """:func:`build_network` from the run's seed, on the device and in the layout it is trained in."""
    torch.manual_seed(spec.seed)
    model = place(build_network(spec, dataset), accelerator.device)
    _check_takes(model, spec.model, dataset.image_shape, accelerator.device)
    if spec.method.initial is not None:
        start_from(model, spec.method.initial, spec.model, dataset, spec.method.num_reject(dataset.num_classes))
    if spec.sync_batchnorm:
        model = synchronise_batchnorm(model, accelerator)
    if execution.gradient_checkpointing:
        checkpoint_blocks(model)
    return model


def _check_takes(model: nn.Module, name: str, image_shape: tuple[int, int, int], device: torch.device) -> None:
    """Raise ``ValueError`` where the network cannot look at such images; some need many pixels."""
    try:
        with evaluation_mode(model), torch.no_grad():
            model(torch.zeros(1, *image_shape, device=device))
    except (RuntimeError, AssertionError, ValueError) as error:
        channels, height, width = image_shape
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{name} cannot take images of {channels}x{height}x{width} ({reason}); choose another network, or larger "
            "images with --image-size"
        ) from error


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """On the device, in the memory layout that is fastest there."""
    if prefers_channels_last(device):
        return model.to(device).to(memory_format=torch.channels_last)
    return model.to(device)


def training_batches(
    spec: RunSpec, dataset: Dataset, train: Split, accelerator: Accelerator, execution: Execution
) -> BatchSource:
    """This process's share of the training batches."""
    plan = BatchPlan(
        spec.batch_size,
        shuffle=True,
        drop_last=True,
        seed=spec.seed,
        augmentation=spec.augmentation,
        mixing=spec.mixing,
        num_classes=dataset.num_classes,
        views=spec.method.views,
    )
    placement = Placement(
        accelerator.device,
        accelerator.process_index,
        accelerator.num_processes,
        prefers_channels_last(accelerator.device),
        execution.workers,
    )
    batches = make_batches(train, plan, placement)
    if spec.method.outliers is None:
        return batches
    return Paired(batches, outlier_batches(spec.method.outliers, dataset, plan, placement))
