"""Teachers as given on the command line: a run folder, a pretrained timm network, or a file of logits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vsmooth.data import Dataset, ImageSet, Split
from vsmooth.evaluate import Predictions
from vsmooth.experiments.build import place, training_splits
from vsmooth.experiments.results import evaluate_split
from vsmooth.experiments.run import finished_record, load_run, read_spec, trained_image_shape
from vsmooth.experiments.specs.robust_distillation import Taught
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.specs.spec_file import SPEC_FILE
from vsmooth.experiments.teaching.lesson import TeacherSource
from vsmooth.head import LogitSet, virtual_heads
from vsmooth.methods import NetworkTeacher, SavedTeacher, Teacher
from vsmooth.models import Normalise, NormalisedModel, Resized
from vsmooth.records.npz_files import read_arrays
from vsmooth.records.run import WEIGHTS_FILE
from vsmooth.records.teacher import TeacherRecord
from vsmooth.texts import check_unicode
from vsmooth.train import Precision

TIMM = "timm:"
_COLOURS = {1: "grey", 3: "colour"}
_KINDS = f"a run folder, {TIMM}NAME (pretrained), or an npz file with `logits` and `labels` of the train split"


class NetworkSource(TeacherSource):
    """A trained network; ``own_precision``: that of its training, ``None`` for the student's where it is not known."""

    def __init__(self, record: TeacherRecord, network: nn.Module, own_precision: Precision | None = None) -> None:
        self.record, self.network, self.own_precision = record, network, own_precision
        self._test: Tensor | None = None

    def width(self, taught: LogitSet, num_classes: int) -> int:
        heads = virtual_heads(self.network)
        if taught == "real":
            return num_classes
        if not heads:
            raise ValueError(f"{self.record.name} has no virtual classes: teach its real logits (--logits real)")
        return num_classes + heads[0][1].num_virtual

    def precision(self, spec: RunSpec) -> str:
        return self.own_precision or spec.precision

    def teacher(self, spec: RunSpec, dataset: Dataset, accelerator: Accelerator) -> Teacher:
        taught: LogitSet = spec.method.logits if isinstance(spec.method, Taught) else "real"
        half = torch.bfloat16 if self.precision(spec) == "bf16" else None
        network = place(self.network, accelerator.device)
        return NetworkTeacher(network, dataset.num_classes, taught=taught, autocast=half)

    def test_logits(self, dataset: Dataset, accelerator: Accelerator, workers: int | None) -> Tensor | None:
        if self._test is None:
            network = place(self.network, accelerator.device)
            logits = evaluate_split(network, dataset.test, accelerator, workers).logits
            self._test = logits[:, : dataset.num_classes]
        return self._test


class SavedSource(TeacherSource):
    """Logits (N, C) of the data set's whole train split, and those of the test split (M, C) where they are known."""

    saved = True

    def __init__(self, record: TeacherRecord, train: Tensor, test: Tensor | None = None) -> None:
        self.record, self.train, self.test = record, train, test

    def width(self, taught: LogitSet, num_classes: int) -> int:
        width = self.train.shape[1]
        if taught == "real" and width != num_classes:
            raise ValueError(
                f"{self.record.origin} has {width} logits an image and the data set {num_classes} classes; if they are "
                "K + V, teach all of them (--logits all)"
            )
        return width

    def precision(self, spec: RunSpec) -> str:
        return str(self.train.dtype)

    def teacher(self, spec: RunSpec, dataset: Dataset, accelerator: Accelerator) -> Teacher:
        return SavedTeacher(self.train[training_places(spec, dataset)])

    def test_logits(self, dataset: Dataset, accelerator: Accelerator, workers: int | None) -> Tensor | None:
        return None if self.test is None else self.test[:, : dataset.num_classes]


def open_teachers(origins: Sequence[str], dataset: Dataset) -> tuple[TeacherSource, ...]:
    """A teacher for each text, under names that tell them apart.

    Raises:
        ValueError: none named, one named twice, no such teacher, an unfinished run, other classes or images.
        CheckpointError: the weights of a run are missing, damaged or do not fit images of this kind.
    """
    if not origins:
        raise ValueError(f"there is no teacher: give --teacher with {_KINDS}")
    sources = tuple(open_teacher(origin, dataset) for origin in origins)
    for one, other in combinations([source.record for source in sources], 2):
        if one.fingerprint == other.fingerprint:
            raise ValueError(f"{one.origin} and {other.origin} are the same teacher; name it once")
    for source, name in zip(sources, _distinct_names([source.record for source in sources]), strict=True):
        source.record = replace(source.record, name=name)
    return sources


def open_teacher(origin: str, dataset: Dataset) -> TeacherSource:
    """The teacher that a text names: a run folder, ``timm:NAME``, or an npz file. Errors: as :func:`open_teachers`."""
    check_unicode("the name of a teacher", origin)
    path = Path(origin)
    if origin.startswith(TIMM):
        return _open_timm(origin, dataset)
    if path.suffix == ".npz":
        return _open_logits(path, dataset)
    if not (path / SPEC_FILE).is_file():
        found = "is not a run folder (it has no spec.json)" if path.exists() else "does not exist"
        raise ValueError(f"the teacher {origin} {found}; a teacher is {_KINDS}")
    return _open_run(path, dataset)


def training_places(spec: RunSpec, dataset: Dataset) -> Tensor:
    """(N,) int64: where the images that ``spec`` trains on stand in the data set's train split."""
    # The splits are cut by labels alone, so a stand-in whose pixels are the samples' numbers is cut in the same places.
    stand_in = replace(dataset, train=_numbered(dataset.train), test=_numbered(dataset.test))
    train, _ = training_splits(spec, stand_in)
    return cast(ImageSet, train).images.flatten(1).contiguous().view(torch.int64).flatten()


def _numbered(split: Split) -> ImageSet:
    numbers = torch.arange(len(split)).view(torch.uint8).view(-1, 1, 1, 8)
    return ImageSet(numbers, split.labels.cpu())


def _open_run(folder: Path, dataset: Dataset) -> TeacherSource:
    spec, run = read_spec(folder), finished_record(folder)
    _check_classes(str(folder), run.num_classes, dataset)
    shape = trained_image_shape(folder)
    _check_channels(f"{folder}, trained on {spec.data},", shape, dataset)
    network = load_run(folder)
    fingerprint = f"{spec.key}-{run.digests[WEIGHTS_FILE][:16]}"
    record = TeacherRecord(run.name, str(folder), fingerprint, run.variant.objective, run.model)
    return NetworkSource(record, Resized(network, shape[1:]), spec.precision)


def _open_timm(origin: str, dataset: Dataset) -> TeacherSource:
    import timm
    from timm.data import resolve_model_data_config

    name = origin.removeprefix(TIMM)
    try:
        model = timm.create_model(name, pretrained=True)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ValueError(f"timm cannot load {name} with pretrained weights: {error}") from error
    _check_classes(origin, cast(int, model.num_classes), dataset)
    config = resolve_model_data_config(model)
    channels, *size = config["input_size"]
    _check_channels(origin, (channels, size[0], size[1]), dataset)
    digest = hashlib.sha256()
    for key, tensor in model.state_dict().items():
        digest.update(key.encode())
        digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().data)
    record = TeacherRecord(name, origin, digest.hexdigest()[:16], model=name)
    normalised = NormalisedModel(Normalise(config["mean"], config["std"]), model)
    return NetworkSource(record, Resized(normalised, (size[0], size[1])))


def _open_logits(path: Path, dataset: Dataset) -> TeacherSource:
    arrays = read_arrays(path, "logits")
    missing = {"logits", "labels"} - arrays.keys()
    if missing:
        raise ValueError(f"{path} has no array {sorted(missing)[0]!r}, only {sorted(arrays)}")
    train = _logits_of(path, "train", arrays["logits"], arrays["labels"], dataset.train)
    test = None
    if "test_logits" in arrays:
        test = _logits_of(path, "test", arrays["test_logits"], dataset.test.labels.cpu().numpy(), dataset.test)
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return SavedSource(TeacherRecord(path.stem, str(path), fingerprint), train, test)


def _logits_of(path: Path, name: str, logits: object, labels: object, split: Split) -> Tensor:
    try:
        found = Predictions(torch.as_tensor(logits).float(), torch.as_tensor(labels))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    own = split.labels.cpu()
    if not torch.equal(found.labels, own):
        raise ValueError(
            f"the labels in {path} are not those of the {name} split ({len(found)} and {len(own)} images): it must "
            "hold all its images in their order"
        )
    return found.logits


def _check_classes(origin: str, num_classes: int, dataset: Dataset) -> None:
    if num_classes != dataset.num_classes:
        raise ValueError(
            f"the teacher {origin} knows {num_classes} classes, {dataset.name} has {dataset.num_classes}: a student "
            "learns from a teacher of its own classes"
        )


def _check_channels(origin: str, shape: tuple[int, int, int], dataset: Dataset) -> None:
    """Another size is brought to the teacher's; another number of channels is another kind of image."""
    if shape[0] != dataset.image_shape[0]:
        teacher, student = (
            f"{'x'.join(map(str, found))} ({_COLOURS.get(found[0], 'neither grey nor colour')})"
            for found in (shape, dataset.image_shape)
        )
        raise ValueError(
            f"the teacher {origin} looks at images of {teacher}, those of {dataset.name} are {student}: give the "
            "students --data like the teacher's, or a teacher that was trained on images like theirs"
        )


def _distinct_names(records: Sequence[TeacherRecord]) -> list[str]:
    """Their names; those that several have with the network or, failing that, the origin."""
    names = [record.name for record in records]
    for more in ("model", "origin"):
        shared = {name for name in names if names.count(name) > 1}
        names = [
            f"{record.name} ({getattr(record, more)})" if name in shared else name
            for record, name in zip(records, names, strict=True)
        ]
    return names
