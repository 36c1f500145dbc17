"""Robust evaluation of a finished run: from its folder to a record, and the images that fooled it."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from vsmooth.atomic import remove_partials
from vsmooth.attacks.autoattack import autoattack_flags, autoattack_version
from vsmooth.data import Dataset
from vsmooth.data.storage.files import evenly_spaced
from vsmooth.digests import digest_of
from vsmooth.evaluate import (
    Evaluation,
    FolderParts,
    RobustResult,
    SanityChecks,
    SanityReport,
    Sharing,
    Targets,
    evaluate_robust,
    evaluate_sanity,
    paper_columns,
)
from vsmooth.evaluate.robust.cascade import Column
from vsmooth.evaluate.robust.columns import Source, autoattack
from vsmooth.evaluate.robust.evaluation import OnProgress
from vsmooth.experiments.ownership import owned
from vsmooth.experiments.results import evaluation_batches, num_virtual_of
from vsmooth.experiments.robust.options import AttackOptions
from vsmooth.experiments.robust.plan import PlannedAttack, count_images, plan_attack
from vsmooth.experiments.robust.results import AutoAttackUse, Opened, adversarial_of, record_of, source_name
from vsmooth.experiments.run import dataset_fits, read_spec
from vsmooth.experiments.run_paths import open_run
from vsmooth.records.robust import (
    ADVERSARIAL_FILE,
    ROBUST_FILE,
    RobustRecord,
    intact_images,
    read_record_file,
    write_robust,
)
from vsmooth.train.processes import launched

PARTS = "parts"
_FLAG_IMAGES = 64


def attack_run(
    folder: Path, dataset: Dataset, options: AttackOptions | None = None, on_progress: OnProgress | None = None
) -> RobustRecord:
    """Attack the network of a finished run: `run_attack` of `plan_attack`, with their errors."""
    return run_attack(plan_attack(folder, options or AttackOptions()), dataset, on_progress)


def run_attack(plan: PlannedAttack, dataset: Dataset, on_progress: OnProgress | None = None) -> RobustRecord:
    """Attack the network of a finished run; its folder gets a folder with `robust.json` and `adversarial.safetensors`.

    A finished evaluation of the same options and weights is read back, an interrupted one goes on with the batch it was
    at, with any number of processes. `on_progress`: as in `Evaluation`.

    Raises:
        ValueError: other images than the run's own, more images than there are, attacks that do not apply, an epsilon
            that does not fit the images, weights, saved batches or images that are damaged, or another process is at
            the same evaluation.
        ModuleNotFoundError: AutoAttack is wanted, or the sanity block, which needs its Square, and not installed.
    """
    dataset_fits(plan.folder, read_spec(plan.folder), dataset)
    if plan.transfers_from_itself:
        source = plan.options.transfer_from
        raise ValueError(f"{source} is the very network that is attacked: transfer from another run")
    place = plan.place(dataset)
    if not (place / ROBUST_FILE).is_file():
        with owned(place):
            if launched().is_main_process:
                remove_partials(place / PARTS, recursive=True)
            launched().wait_for_everyone()
            _attack(plan, dataset, place, on_progress)
    if launched().is_main_process:
        shutil.rmtree(place / PARTS, ignore_errors=True)  # the record is written: nothing is left to resume
    record = read_record_file(place / ROBUST_FILE)
    intact_images(place / ADVERSARIAL_FILE, record)
    return record


def load_test_images(dataset: Dataset, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) float32 in [0, 1] and labels (N,) of the test split, on the CPU."""
    batches = list(evaluation_batches(dataset.test.subset(indices), torch.device("cpu")).epoch(0))
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return images.contiguous(), labels


def _attack(plan: PlannedAttack, dataset: Dataset, place: Path, on_progress: OnProgress | None) -> None:
    """All the work of one evaluation; the first process writes what it found."""
    began, options = time.monotonic(), plan.options
    indices = evenly_spaced(len(dataset.test), count_images(dataset, options))
    virtual = bool(num_virtual_of(read_spec(plan.folder), dataset.num_classes))
    version = _autoattack_version(options, virtual)  # before the work: is it installed?
    opened = _open(plan, dataset, indices)
    flags = _flags(opened) if version else ()
    evaluation = _evaluation(opened, options, FolderParts(place / PARTS / "columns"), on_progress)
    result = evaluate_robust(
        opened.model,
        opened.images,
        opened.labels,
        _columns(opened, dataset, options),
        options.threat,
        num_classes=dataset.num_classes,
        evaluation=evaluation,
    )
    sanity = _check_sanity(opened, result, options, replace(evaluation, parts=FolderParts(place / PARTS / "sanity")))
    if launched().is_main_process:
        images = place / ADVERSARIAL_FILE
        adversarial_of(opened, result).save(images)
        used, seconds = AutoAttackUse(version, flags), time.monotonic() - began
        record = record_of(opened, result, sanity, options, used, seconds=seconds)
        write_robust(replace(record, digests={images.name: digest_of(images)}), place)
    launched().wait_for_everyone()


def _open(plan: PlannedAttack, dataset: Dataset, indices: Tensor) -> Opened:
    options = plan.options
    model = open_run(plan.folder, dataset, options.checkpoint).eval()
    images, labels = load_test_images(dataset, indices)
    options.threat.check_fits(images)
    targets = Targets(model, images, num_classes=dataset.num_classes, fold=options.fold, compile=options.compile)
    return Opened(
        model=model,
        targets=targets,
        images=images,
        labels=labels,
        indices=indices,
        num_virtual=num_virtual_of(read_spec(plan.folder), dataset.num_classes),
        weights=plan.weights,
        split_images=len(dataset.test),
    )


def _columns(opened: Opened, dataset: Dataset, options: AttackOptions) -> tuple[Column, ...]:
    source = None
    if options.transfer_from is not None:
        twin = _open_source(options.transfer_from, dataset)
        target = Targets(twin, opened.images, num_classes=dataset.num_classes)("real")
        source = Source(target, source_name(options.transfer_from))
    return paper_columns(
        dataset.num_classes,
        opened.num_virtual,
        options.threat,
        options.budget,
        families=options.families,
        on=options.on,
        source=source,
        randomised=opened.targets.judgements > 1,
    )


def _open_source(folder: Path, dataset: Dataset) -> nn.Module:
    dataset_fits(folder, read_spec(folder), dataset, remedy="transfer from a run on the same data")
    return open_run(folder, dataset).eval()


def _evaluation(
    opened: Opened, options: AttackOptions, parts: FolderParts, on_progress: OnProgress | None
) -> Evaluation:
    state = launched()
    return Evaluation(
        batch_size=options.batch_size,
        seed=options.seed,
        precision=options.precision,
        targets=opened.targets,
        parts=parts,
        sharing=Sharing(state.process_index, state.num_processes, state.wait_for_everyone),
        on_progress=on_progress,
    )


def _check_sanity(
    opened: Opened, result: RobustResult, options: AttackOptions, evaluation: Evaluation
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
        SanityChecks(tuple(white_box), (square,), options.sanity_steps),
        num_classes=opened.targets.num_classes,
        indices=opened.indices[chosen],
        evaluation=evaluation,
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
