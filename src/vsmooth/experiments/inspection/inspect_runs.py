"""Inspection of the last layer of finished runs: features, gradients and the record of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vsmooth.bounds import check_count
from vsmooth.data import Dataset, Split
from vsmooth.data.storage.files import evenly_spaced
from vsmooth.digests import digest_of
from vsmooth.evaluate import Features, Predictions, collect, evaluate_similarity
from vsmooth.evaluate.predict import model_device
from vsmooth.experiments.build import training_splits
from vsmooth.experiments.inspection.gradient_maps import (
    collect_gradients,
    gradient_overlaps,
    require_captum,
    spread_over_classes,
)
from vsmooth.experiments.ownership import owned
from vsmooth.experiments.results import evaluation_batches
from vsmooth.experiments.run import dataset_fits, read_spec
from vsmooth.experiments.run_paths import open_run
from vsmooth.metrics import check_agreement, choose_classes, human_distributions, linear_cka, virtual_diagnostics
from vsmooth.metrics.bootstrap import check_resamples
from vsmooth.records.comparison import Comparison
from vsmooth.records.gradient_maps import GRADIENTS_FILE
from vsmooth.records.inspection import FEATURES, InspectionRecord, intact_file, write_inspection
from vsmooth.records.npz_files import read_array
from vsmooth.records.run import RunRecord, intact_predictions

LEAST_CLASSES = 3
_MOST_IMAGES, _MOST_SHOWN = 10**9, 10_000
_LEVEL = 0.95  # of the intervals of similarity
PLANE_IMAGES = 500  # train images of each class on the plane


@dataclass(frozen=True)
class InspectOptions:
    """classes: names or numbers of the plane's three, or none: found from the confusion. human: (N, K) or None.

    images: evenly spaced test images that count (None: all). samples: whose gradients are kept.
    """

    classes: tuple[str, ...] = ()
    human: Tensor | None = None
    images: int | None = None
    samples: int = 8
    integrated: bool = False
    resamples: int = 1000

    def __post_init__(self) -> None:
        if self.images is not None:
            check_count("images", self.images, 2, _MOST_IMAGES, "no test split has more: leave it out for all")
        check_count("samples", self.samples, 1, _MOST_SHOWN, "their gradients are kept, and shown one by one")
        check_resamples(self.resamples, _LEVEL)


def inspect_runs(
    comparison: Comparison,
    dataset: Dataset,
    options: InspectOptions,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[InspectionRecord, ...]:
    """Write features, gradients and `inspection.json` into the folder of each run; the records in the runs' order.

    Similarity is compared with the one-hot run of the same seed, where there is one. `tell(done, total)` is called
    twice for each run. ValueError, before any work, for other data than the runs', classes that are unknown or other
    than three, human labels that do not fit the test split or disagree with its labels, and where another process is
    writing the folder of a run.
    """
    for run in comparison.runs:
        folder = Path(run.folder)
        dataset_fits(folder, read_spec(folder), dataset)
    classes = find_classes(comparison, dataset, options.classes)
    indices = evenly_spaced(len(dataset.test), _count(options, dataset))
    spread_over_classes(dataset.test.labels, options.samples)
    if options.integrated:
        require_captum()
    human = None if options.human is None else _check_human(options.human, dataset)[indices]
    total, found = len(comparison.runs), []
    with owned(*(Path(run.folder) for run in comparison.runs)):
        for done, run in enumerate(comparison.runs):
            tell(done, 2 * total)
            found.append(_open(run, dataset, indices, classes, options))
        for done, run in enumerate(comparison.runs):
            tell(total + done, 2 * total)
            found[done] = _compare(comparison, run, found, human, options)
            write_inspection(found[done], Path(run.folder))
    return tuple(found)


def find_classes(comparison: Comparison, dataset: Dataset, wanted: Sequence[str] = ()) -> tuple[int, ...]:
    """The three classes of the plane: those wanted, by name or number, else by the confusion of the first one-hot run.

    Empty for data of fewer than three classes. ValueError for other than three, unknown and repeated ones.
    """
    if wanted:
        found = tuple(_class_index(name, dataset.classes) for name in wanted)
        if len(set(found)) != LEAST_CLASSES or len(found) != LEAST_CLASSES:
            raise ValueError(f"the plane goes through three different classes, got {', '.join(wanted)}")
        return found
    if dataset.num_classes < LEAST_CLASSES:
        return ()
    run = (*comparison.baselines, *comparison.groups)[0].runs[0]
    predictions = Predictions.load(intact_predictions(Path(run.folder), run))
    return choose_classes(predictions.probabilities, predictions.labels)


def read_human(path: Path) -> Tensor:
    """Counts or probabilities (N, K) that people gave, from an `npy` file; ValueError for anything else."""
    found = read_array(path, "human labels")
    return torch.from_numpy(found.astype(np.float64))


def _open(
    run: RunRecord, dataset: Dataset, indices: Tensor, classes: tuple[int, ...], options: InspectOptions
) -> InspectionRecord:
    folder = Path(run.folder)
    spec = read_spec(folder)
    model = open_run(folder, dataset)
    features = _features(model, dataset.test.subset(indices))
    features.save(folder / FEATURES["test"])
    names = [FEATURES["test"], GRADIENTS_FILE]
    if classes:
        train, _ = training_splits(spec, dataset)
        _features(model, train.subset(_first_of(train.labels, classes))).save(folder / FEATURES["train"])
        names.append(FEATURES["train"])
    collect_gradients(model, dataset, options.samples, options.integrated).save(folder)
    overlap = gradient_overlaps(model, dataset, options.resamples)
    digests = {name: digest_of(folder / name) for name in names}
    found = InspectionRecord(len(indices), classes, overlap=overlap, digests=digests)
    labels = spec.objective.virtual_labels
    if labels is None:
        return found
    shares = labels.smoothing_weights(len(features.virtual_templates))
    diagnostics = virtual_diagnostics(
        features.logits, features.real_templates, features.virtual_templates, labels.alpha, shares
    )
    return replace(found, virtual=diagnostics)


def _compare(
    comparison: Comparison,
    run: RunRecord,
    found: Sequence[InspectionRecord],
    human: Tensor | None,
    options: InspectOptions,
) -> InspectionRecord:
    records = {other.folder: record for other, record in zip(comparison.runs, found, strict=True)}
    features = _stored(run, records)
    others = [other for other in comparison.runs if other is not run]
    cka = {
        Path(other.folder).name: linear_cka(features.activations, _stored(other, records).activations)
        for other in others
    }
    record = replace(records[run.folder], cka=cka)
    if features.num_classes < LEAST_CLASSES:
        return record
    baseline = comparison.baseline_run(run)
    similarity = evaluate_similarity(
        features, human, None if baseline is None else _stored(baseline, records), resamples=options.resamples
    )
    return replace(record, similarity=similarity, baseline=None if baseline is None else Path(baseline.folder).name)


def _stored(run: RunRecord, records: Mapping[str, InspectionRecord]) -> Features:
    return Features.load(intact_file(Path(run.folder), records[run.folder], FEATURES["test"]))


def _features(model: nn.Module, split: Split) -> Features:
    return collect(model, evaluation_batches(split, model_device(model)).epoch(0))


def _first_of(labels: Tensor, classes: Sequence[int]) -> Tensor:
    return torch.cat([(labels == label).nonzero().flatten()[:PLANE_IMAGES] for label in classes]).sort().values


def _count(options: InspectOptions, dataset: Dataset) -> int:
    count = len(dataset.test) if options.images is None else options.images
    if not 2 <= count <= len(dataset.test):
        raise ValueError(f"images must be 2 to {len(dataset.test)} (the test images), got {count}")
    return count


def _check_human(human: Tensor, dataset: Dataset) -> Tensor:
    if dataset.num_classes < LEAST_CLASSES:
        raise ValueError("human labels are compared over the wrong classes, which takes three classes or more")
    found = human_distributions(human, len(dataset.test), dataset.num_classes)
    check_agreement(found, dataset.test.labels)
    return found


def _class_index(name: str, names: Sequence[str]) -> int:
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < len(names):
        return int(name)
    raise ValueError(f"unknown class {name!r}; the classes are {', '.join(names[:20])}{' ...' if names[20:] else ''}")
