"""A finished run under attack: from its folder to a record, and the images that fooled it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor, nn

from vsmooth.attacks.autoattack import autoattack_flags, autoattack_version
from vsmooth.data import Dataset
from vsmooth.digests import digest_of
from vsmooth.evaluate import (
    FolderParts,
    RobustResult,
    SanityReport,
    Sharing,
    Targets,
    evaluate_robust,
    evaluate_sanity,
    paper_columns,
)
from vsmooth.evaluate.robust.cascade import Column
from vsmooth.evaluate.robust.columns import autoattack
from vsmooth.evaluate.robust.evaluation import OnProgress
from vsmooth.experiments.results import evaluation_batches, num_virtual_of
from vsmooth.experiments.robust.options import AttackOptions
from vsmooth.experiments.robust.results import Opened, adversarial_of, record_of, source_name
from vsmooth.experiments.run import dataset_fits, finished_record, read_spec
from vsmooth.experiments.run_paths import open_run
from vsmooth.experiments.shift import evenly_spaced
from vsmooth.records.robust import (
    ADVERSARIAL_FILE,
    ATTACK_FOLDER,
    ROBUST_FILE,
    RobustRecord,
    intact_images,
    read_record_file,
    write_robust,
)
from vsmooth.records.run import WEIGHTS_FILE, intact_weights

PARTS = "parts"
_FLAG_IMAGES = 64


def attack_run(
    folder: Path, dataset: Dataset, options: AttackOptions | None = None, on_progress: OnProgress | None = None
) -> RobustRecord:
    """Attack the network of a finished run; its folder gets a folder with `robust.json` and `adversarial.safetensors`.

    A finished evaluation of the same options and weights is read back, an interrupted one goes on with the batch it was
    at, with any number of processes. `on_progress`: as `evaluate_robust`.

    Raises:
        ValueError: a run that is not finished, other images than its own, more images than there are, attacks that do
            not apply, an epsilon that does not fit the images, weights or saved images that are damaged.
        ModuleNotFoundError: AutoAttack is wanted, or the sanity block, which needs its Square, and not installed.
    """
    options = options or AttackOptions()
    dataset_fits(folder, read_spec(folder), dataset)
    if transfers_from_itself(folder, options):
        raise ValueError(f"{options.transfer_from} is the very network that is attacked: transfer from another run")
    place = evaluation_folder(folder, dataset, options)
    if not (place / ROBUST_FILE).is_file():
        _attack(folder, dataset, options, place, on_progress)
    if PartialState().is_main_process:
        shutil.rmtree(place / PARTS, ignore_errors=True)  # the record is written: nothing is left to resume
    record = read_record_file(place / ROBUST_FILE)
    intact_images(place / ADVERSARIAL_FILE, record)
    return record


def evaluation_folder(folder: Path, dataset: Dataset, options: AttackOptions) -> Path:
    """Where the evaluation of a finished run under these options is kept; ValueError for more images than there are."""
    source = "" if options.transfer_from is None else fingerprint(options.transfer_from)
    return folder / ATTACK_FOLDER / options.folder(_count(dataset, options), fingerprint(folder), source)


def transfers_from_itself(folder: Path, options: AttackOptions) -> bool:
    """Whether the run to transfer from has the weights of the one that is attacked."""
    return options.transfer_from is not None and fingerprint(options.transfer_from) == fingerprint(folder)


def fingerprint(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 of a run's weights; ValueError for a run not finished, or damaged weights."""
    read_spec(folder)  # which tells what is no run from one that is not finished
    record = finished_record(folder)
    if not intact_weights(folder, record).is_file():
        raise ValueError(f"the run in {folder} has no weights: {WEIGHTS_FILE} is missing; train it again")
    return record.digests[WEIGHTS_FILE][:16]


def load_test_images(dataset: Dataset, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) float32 in [0, 1] and labels (N,) of the test split, on the CPU."""
    batches = list(evaluation_batches(dataset.test.subset(indices), torch.device("cpu")).epoch(0))
    return torch.cat([batch[0] for batch in batches]).contiguous(), torch.cat([batch[1] for batch in batches])


def _count(dataset: Dataset, options: AttackOptions) -> int:
    total = len(dataset.test)
    count = total if options.images is None else options.images
    if count > total:
        raise ValueError(f"the test split of {dataset.name} has {total} images, {count} are wanted")
    return count


def _attack(
    folder: Path, dataset: Dataset, options: AttackOptions, place: Path, on_progress: OnProgress | None
) -> None:
    """All the work of one evaluation; the first process writes what it found."""
    began = time.monotonic()
    indices = evenly_spaced(len(dataset.test), _count(dataset, options))
    virtual = bool(num_virtual_of(read_spec(folder), dataset.num_classes))
    version = _autoattack_version(options, virtual)  # before the work: is it installed?
    opened = _open(folder, dataset, options, indices)
    flags = _flags(opened) if version else ()
    columns = _columns(opened, dataset, options, randomised=opened.targets.judgements > 1)
    about = _about(opened, options, on_progress)
    result = evaluate_robust(
        opened.model,
        opened.images,
        opened.labels,
        columns,
        options.threat,
        precision=options.precision,
        parts=FolderParts(place / PARTS / "columns"),
        **about,
    )
    sanity = _check_sanity(opened, result, options, FolderParts(place / PARTS / "sanity"), about)
    if PartialState().is_main_process:
        images = place / ADVERSARIAL_FILE
        adversarial_of(opened, result).save(images)
        record = record_of(
            opened,
            result,
            sanity,
            options,
            weights=fingerprint(folder),
            split_images=len(dataset.test),
            seconds=time.monotonic() - began,
            autoattack_version=version,
            autoattack_flags=flags,
            digests={images.name: digest_of(images)},
        )
        write_robust(record, place)
    PartialState().wait_for_everyone()


def _open(folder: Path, dataset: Dataset, options: AttackOptions, indices: Tensor) -> Opened:
    model = open_run(folder, dataset).eval()
    images, labels = load_test_images(dataset, indices)
    options.threat.check_fits(images)
    targets = Targets(model, images, num_classes=dataset.num_classes, fold=options.fold, compile=options.compile)
    return Opened(model, targets, images, labels, indices, num_virtual_of(read_spec(folder), dataset.num_classes))


def _columns(
    opened: Opened, dataset: Dataset, options: AttackOptions, *, randomised: bool
) -> tuple[Column, ...]:
    source, name = None, ""
    if options.transfer_from is not None:
        twin = _open_source(options.transfer_from, dataset)
        source = Targets(twin, opened.images, num_classes=dataset.num_classes)("real")
        name = source_name(options.transfer_from)
    return paper_columns(
        dataset.num_classes,
        opened.num_virtual,
        options.threat,
        options.budget,
        families=options.families,
        on=options.on,
        source=source,
        source_name=name,
        randomised=randomised,
    )


def _open_source(folder: Path, dataset: Dataset) -> nn.Module:
    dataset_fits(folder, read_spec(folder), dataset, remedy="transfer from a run on the same data")
    return open_run(folder, dataset).eval()


def _about(opened: Opened, options: AttackOptions, on_progress: OnProgress | None) -> dict[str, Any]:
    """What both evaluators are told alike."""
    state = PartialState()
    return {
        "num_classes": opened.targets.num_classes,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "targets": opened.targets,
        "on_progress": on_progress,
        "sharing": Sharing(state.process_index, state.num_processes, state.wait_for_everyone),
    }


def _check_sanity(
    opened: Opened, result: RobustResult, options: AttackOptions, parts: FolderParts, about: dict[str, Any]
) -> SanityReport | None:
    """On some of the images that are right when clean; None where none are wanted, and at epsilon 0."""
    right = result.clean.nonzero().flatten()
    few = min(options.sanity_images, len(right))
    if not few or not options.threat.epsilon:
        return None
    chosen = right[evenly_spaced(len(right), few)]
    *white_box, square = autoattack(opened.targets.num_classes, options.budget)
    return evaluate_sanity(
        opened.model,
        opened.images[chosen],
        opened.labels[chosen],
        options.threat,
        white_box=white_box,
        black_box=(square,),
        steps=options.sanity_steps,
        indices=opened.indices[chosen],
        parts=parts,
        **about,
    )


def _autoattack_version(options: AttackOptions, virtual: bool) -> str:
    """Of the official package; "" where no column uses it. ModuleNotFoundError where the sanity block lacks it."""
    used = "aa" in options.families or (virtual and "aa+" in options.families)
    version = autoattack_version() if used or options.sanity_images else ""
    return version if used else ""


def _flags(opened: Opened) -> tuple[str, ...]:
    """What the package's own checks say on a few images."""
    device = opened.targets.device
    images, labels = (part[:_FLAG_IMAGES].to(device) for part in (opened.images, opened.labels))
    return autoattack_flags(opened.targets("real"), images, labels)
