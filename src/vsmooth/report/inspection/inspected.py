"""Inspection records as the arrays of figures: the plane, the virtual mass, class similarity, input gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vsmooth.labels import LabelSmoothing
from vsmooth.metrics import Plane, between_share, class_similarity, plane_basis, virtual_mass
from vsmooth.records.comparison import Comparison
from vsmooth.records.features import Features
from vsmooth.records.gradient_maps import GRADIENTS_FILE, INTEGRATED, GradientMaps
from vsmooth.records.inspection import FEATURES, InspectionRecord, intact_file, read_inspection
from vsmooth.records.run import RunRecord
from vsmooth.report.drawing.style import Style, styles
from vsmooth.report.inspection.representation_figures import MassColumn, PlaneCloud, PlaneColumn
from vsmooth.report.inspection.similarity_table import SimilarityRow


@dataclass(frozen=True, eq=False)
class InspectedRun:
    """The first inspected seed of one label: its record, and its features, read when they are asked for."""

    name: str
    style: Style
    run: RunRecord
    folder: Path
    record: InspectionRecord
    is_baseline: bool = False

    @cached_property
    def test(self) -> Features:
        return Features.load(self._file(FEATURES["test"]))

    @cached_property
    def train(self) -> Features:
        """Of the plane's three classes alone."""
        return Features.load(self._file(FEATURES["train"]))

    @cached_property
    def gradients(self) -> GradientMaps | None:
        return GradientMaps.load(self._file(GRADIENTS_FILE).parent)

    def _file(self, name: str) -> Path:
        return intact_file(self.folder, self.record, name)


def inspected_runs(comparison: Comparison) -> tuple[InspectedRun, ...]:
    """The first inspected run of each label; empty if none was."""
    found = []
    for group, style in zip(comparison.groups, styles(comparison.groups), strict=True):
        for run in group.runs:
            folder = Path(comparison.directory, run.folder)
            record = read_inspection(folder)
            if record is not None:
                found.append(InspectedRun(group.name, style, run, folder, record, group in comparison.baselines))
                break
    return tuple(found)


def plane_columns(runs: Sequence[InspectedRun], *, virtual: bool = False, each: int = 500) -> tuple[PlaneColumn, ...]:
    """A column for each run with the same three classes as the first: up to `each` samples of a class and split.

    `virtual`: also the virtual templates, where there are any.
    """
    shown = [run for run in runs if run.record.classes and run.record.classes == runs[0].record.classes]
    return tuple(_plane_column(run, virtual, each) for run in shown)


def _plane_column(run: InspectedRun, virtual: bool, each: int) -> PlaneColumn:
    classes = list(run.record.classes)
    plane = plane_basis(run.test.real_templates[classes])
    clouds = {
        title: _cloud(features, plane, classes, each)
        for title, features in (("training images", run.train), ("test images", run.test))
    }
    means = [run.test.activations[run.test.labels == label].double().mean(0) for label in classes]
    share = between_share(plane, torch.stack(means))
    templates = run.test.virtual_templates
    return PlaneColumn(
        run.name,
        clouds,
        plane.project(run.test.real_templates[classes]).numpy(),
        plane.project(templates).numpy() if virtual and len(templates) else None,
        f"holds {100 * share:.0f} % of the means' spread",
    )


def _cloud(features: Features, plane: Plane, classes: Sequence[int], each: int) -> PlaneCloud:
    parts = [(features.labels == label).nonzero().flatten()[:each] for label in classes]
    members = torch.cat([torch.full((len(part),), place) for place, part in enumerate(parts)])
    # Mixed: drawn class by class, the last one would hide the others.
    order = torch.randperm(len(members), generator=torch.Generator().manual_seed(0))
    points = plane.project(features.activations[torch.cat(parts)])
    return PlaneCloud(points[order].numpy(), members[order].numpy())


def mass_columns(runs: Sequence[InspectedRun]) -> tuple[MassColumn, ...]:
    """The probability of the virtual classes of each run that has them."""
    return tuple(
        MassColumn(
            run.name,
            run.style,
            virtual_mass(run.test.logits, run.test.num_classes).numpy(),
            run.record.virtual.alpha,
        )
        for run in runs
        if run.record.virtual is not None
    )


def similarity_rows(runs: Sequence[InspectedRun]) -> tuple[SimilarityRow, ...]:
    """The baseline and the runs that were compared with it; all runs where none was."""
    rows = [
        (run.is_baseline, SimilarityRow(run.name, run.record.similarity.values, run.record.similarity.differences))
        for run in runs
        if run.record.similarity is not None
    ]
    compared = any(row.differences for _, row in rows)
    return tuple(row for is_baseline, row in rows if row.differences or is_baseline or not compared)


def similarity_matrices(runs: Sequence[InspectedRun]) -> dict[str, npt.NDArray[np.float64]]:
    """Class similarity (K, K) by label, from the logits on the test images."""
    return {
        run.name: class_similarity(run.test.predictions.logits, run.test.labels).numpy()
        for run in runs
        if run.record.similarity is not None
    }


@dataclass(frozen=True, eq=False)
class GradientGrid:
    """Images (N, C, H, W), a caption for each, and gradients like the images by column title."""

    images: npt.NDArray[np.float64]
    captions: tuple[str, ...]
    maps: dict[str, npt.NDArray[np.float64]]


def gradient_grid(
    runs: Sequence[InspectedRun], class_names: Sequence[str], *, integrated: bool = False
) -> GradientGrid | None:
    """The runs whose gradients are of the same images as the first one's; None without any.

    Each shows its correct class; beside it the virtual classes where it has them, the incorrect ones of smoothed labels
    without. `integrated`: integrated gradients, where they were kept.
    """
    kept = [(run, run.gradients) for run in runs if run.gradients is not None]
    if not kept:
        return None
    first = kept[0][1]
    maps: dict[str, npt.NDArray[np.float64]] = {}
    for run, found in kept:
        if found.images.shape == first.images.shape and torch.equal(found.images, first.images):
            for title, values in _shown_maps(run, found, integrated).items():
                maps[f"{run.name}\n{title}"] = values.double().numpy()
    if int(first.labels.max()) >= len(class_names):
        raise ValueError(
            f"{kept[0][0].folder / GRADIENTS_FILE} has a label {int(first.labels.max())}, but there are "
            f"{len(class_names)} classes; `vsmooth inspect` writes it anew"
        )
    captions = tuple(class_names[label] for label in first.labels.tolist())
    return GradientGrid(first.images.double().numpy(), captions, maps) if maps else None


def _shown_maps(run: InspectedRun, found: GradientMaps, integrated: bool) -> dict[str, Tensor]:
    smoothed = ("incorrect",) if run.run.variant.objective.kind == LabelSmoothing.name else ()
    names = ("correct", *(("virtual",) if "virtual" in found.maps else smoothed))
    prefix = INTEGRATED if integrated else ""
    return {name: found.maps[prefix + name] for name in names if prefix + name in found.maps}
