"""Input gradients of a run for a few test images, as a record, and how much the maps overlap."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from vsmooth.data import Dataset, Split
from vsmooth.data.storage.files import evenly_spaced
from vsmooth.evaluate import choose_outputs, input_gradients, integrated_gradients
from vsmooth.evaluate.predict import model_device
from vsmooth.evaluate.representation.input_gradients import Outputs
from vsmooth.experiments.results import evaluation_batches
from vsmooth.head import virtual_heads
from vsmooth.metrics import bootstrap_statistic, map_overlap
from vsmooth.records.gradient_maps import INTEGRATED, GradientMaps, Overlap

OVERLAP_IMAGES = 256






def collect_gradients(model: nn.Module, dataset: Dataset, samples: int, integrated: bool = False) -> GradientMaps:
    """Gradients of the logits for `samples` test images of classes as different as can be.

    ValueError for fewer than one or more than all; ModuleNotFoundError for integrated ones without captum.
    """
    images, labels = _pixels(dataset.test, spread_over_classes(dataset.test.labels, samples), model)
    maps = _maps(model, images, labels, dataset.num_classes)
    if integrated:
        width = dataset.num_classes + _num_virtual(model)
        for name in maps.copy():
            chosen = choose_outputs(name, labels, dataset.num_classes, width)  # type: ignore[arg-type]
            maps[INTEGRATED + name] = integrated_gradients(model, images, chosen)
    return GradientMaps(images, labels, maps)


def gradient_overlaps(model: nn.Module, dataset: Dataset, resamples: int = 1000) -> dict[str, Overlap]:
    """Overlap of the correct class's map with the others, by name, over up to 256 evenly spaced test images."""
    count = min(OVERLAP_IMAGES, len(dataset.test))
    images, labels = _pixels(dataset.test, evenly_spaced(len(dataset.test), count), model)
    maps = _maps(model, images, labels, dataset.num_classes)
    correct = maps.pop("correct")
    found = {}
    for name, other in maps.items():
        overlap = map_overlap(correct, other)
        (rank,) = bootstrap_statistic(_mean_of(overlap.rank), count, resamples=resamples)
        found[name] = Overlap(rank, float(overlap.cosine.nanmean()), count)
    return found


def require_captum() -> None:
    """ModuleNotFoundError, with the remedy, where integrated gradients cannot be had."""
    if find_spec("captum") is None:
        raise ModuleNotFoundError("integrated gradients need captum: pip install captum", name="captum")


def spread_over_classes(labels: Tensor, wanted: int) -> Tensor:
    """`wanted` indices of samples, one of each of evenly spaced classes, then a second of each, ...; int64.

    ValueError unless 1 <= wanted <= N.
    """
    if not 1 <= wanted <= len(labels):
        raise ValueError(f"samples must be 1 to {len(labels)} (the test images), got {wanted}")
    present = labels.unique()
    order = present[evenly_spaced(len(present), min(wanted, len(present)))].tolist()
    order += [int(label) for label in present if int(label) not in order]
    places = [(labels == label).nonzero().flatten().tolist() for label in order]
    rounds = range(max(map(len, places)))
    turns = [own[turn] for turn in rounds for own in places if turn < len(own)]
    return torch.tensor(turns[:wanted])


def _pixels(split: Split, indices: Tensor, model: nn.Module) -> tuple[Tensor, Tensor]:
    batches = list(evaluation_batches(split.subset(indices), model_device(model)).epoch(0))
    images, labels = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
    return images.contiguous(), labels


def _maps(model: nn.Module, images: Tensor, labels: Tensor, num_classes: int) -> dict[str, Tensor]:
    names: list[Outputs] = ["correct", "incorrect"]
    virtual = _num_virtual(model)
    if virtual:
        names.append("virtual")
    chosen = {name: choose_outputs(name, labels, num_classes, num_classes + virtual) for name in names}
    return {name: input_gradients(model, images, outputs) for name, outputs in chosen.items()}


def _num_virtual(model: nn.Module) -> int:
    heads = virtual_heads(model)
    return heads[0][1].num_virtual if heads else 0


def _mean_of(values: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda indices: values[indices].nanmean()[None]
