"""Input gradients of a run for a few test images, as a record, and how much the maps overlap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsmooth.atomic import replacing
from vsmooth.data import Dataset, Split
from vsmooth.evaluate import choose_outputs, input_gradients, integrated_gradients
from vsmooth.evaluate.input_gradients import Outputs
from vsmooth.evaluate.npz_files import read_arrays
from vsmooth.evaluate.predict import model_device
from vsmooth.experiments.results import evaluation_batches
from vsmooth.experiments.shift import evenly_spaced
from vsmooth.head import virtual_heads
from vsmooth.metrics import BootstrapInterval, bootstrap_statistic, map_overlap

GRADIENTS_FILE = "gradients.npz"
INTEGRATED = "integrated "
OVERLAP_IMAGES = 256


@dataclass(frozen=True, eq=False)
class GradientMaps:
    """A few test images (N, C, H, W) in [0, 1], their labels (N,) and gradients by name, each like the images.

    The names: "correct", "incorrect" and, where there are virtual classes, "virtual"; the same after "integrated ".
    """

    images: Tensor
    labels: Tensor
    maps: Mapping[str, Tensor]

    def save(self, folder: Path) -> Path:
        """Write `gradients.npz`."""
        arrays: dict[str, Any] = {"images": self.images.numpy(), "labels": self.labels.numpy()}
        arrays |= {f"map {name}": values.numpy() for name, values in self.maps.items()}
        path = folder / GRADIENTS_FILE
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return path

    @classmethod
    def load(cls, folder: Path) -> GradientMaps | None:
        """What `save` wrote in `folder`; None if it did not; ValueError for a file that is something else."""
        path = folder / GRADIENTS_FILE
        if not path.is_file():
            return None
        arrays = {name: torch.from_numpy(array) for name, array in read_arrays(path, "input gradients").items()}
        maps = {name.removeprefix("map "): array for name, array in arrays.items() if name.startswith("map ")}
        if not maps or not {"images", "labels"} <= arrays.keys():
            raise ValueError(f"{path} holds no input gradients, only {sorted(arrays)}; delete it and run again")
        return cls(arrays["images"], arrays["labels"], maps)


@dataclass(frozen=True)
class Overlap:
    """How alike the map of the correct class is to another: Spearman over the pixels and cosine, means over images."""

    rank: BootstrapInterval
    cosine: float
    images: int


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
