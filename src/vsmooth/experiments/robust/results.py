"""From a robust evaluation to its record and its file of adversarial images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vsmooth.evaluate import RobustResult, SanityReport, Standing, Targets, predict
from vsmooth.evaluate.robust.evaluation import ColumnResult
from vsmooth.experiments.environment import describe_environment
from vsmooth.experiments.robust.options import AttackOptions
from vsmooth.experiments.run import finished_record
from vsmooth.records.robust import AA_REAL, Adversarial, AttackRecord, ColumnRecord, RobustRecord

_FEWEST_TARGETED = 4  # logits that the targeted DLR loss needs
_BATCH = 128


@dataclass(frozen=True, eq=False)
class Opened:
    """Everything that is attacked: a network on its device, its targets, and a part of the test split on the CPU.

    weights: fingerprint of the network. split_images: how many images the whole test split has.
    """

    model: nn.Module
    targets: Targets
    images: Tensor
    labels: Tensor
    indices: Tensor
    num_virtual: int
    weights: str
    split_images: int


@dataclass(frozen=True)
class AutoAttackUse:
    """version: of the official package, "" where it was not used; flags: what its own checks said."""

    version: str
    flags: tuple[str, ...]


def adversarial_of(opened: Opened, result: RobustResult) -> Adversarial:
    """The images that were found, with what the evaluation decided on them."""
    clean = _decisions(opened, opened.images, result.clean)
    found = _decisions(opened, result.images, result.stands)
    return Adversarial(result.images, opened.indices, opened.labels, clean, found)


def _decisions(opened: Opened, images: Tensor, right: Tensor) -> Tensor:
    """(N,) int64: the label where the evaluation found it `right`, the largest of the other classes where not."""
    pieces = zip(images.split(_BATCH), opened.labels.split(_BATCH), strict=True)
    logits = predict(opened.model, pieces).logits
    wrong = logits.scatter(1, opened.labels[:, None], -torch.inf).argmax(1)
    return torch.where(right, opened.labels, wrong)


def record_of(
    opened: Opened,
    result: RobustResult,
    sanity: SanityReport | None,
    options: AttackOptions,
    autoattack: AutoAttackUse,
    *,
    seconds: float,
) -> RobustRecord:
    """The record of an evaluation that took `seconds`."""
    count = len(opened.images)
    return RobustRecord(
        threat=options.threat,
        images=count,
        split_images=opened.split_images,
        num_classes=opened.targets.num_classes,
        num_virtual=opened.num_virtual,
        clean=Standing.of(int(result.clean.sum()), count),
        columns=tuple(map(_column, result.columns)),
        headline=Standing.of(int(result.stands.sum()), count),
        weights=opened.weights,
        seed=options.seed,
        precision=options.precision,
        seconds=seconds,
        sanity=sanity,
        autoattack_version=autoattack.version,
        autoattack_flags=autoattack.flags,
        transfer_from="" if options.transfer_from is None else source_name(options.transfer_from),
        notes=tuple(_notes(opened, result, options)),
        environment=describe_environment(options.precision, opened.targets.device),
        judgements=result.judgements,
    )


def source_name(folder: Path) -> str:
    """What tables call a run that images are transferred from: "one-hot, seed 1"."""
    record = finished_record(folder)
    return f"{record.name}, seed {record.seed}"


def _column(found: ColumnResult) -> ColumnRecord:
    attacks = tuple(
        AttackRecord(result.attack.name, result.attack.settings(), result.standing, result.precision)
        for result in found.attacks
    )
    standing = Standing.of(int(found.stands.sum()), len(found.stands))
    return ColumnRecord(found.name, found.view, found.on, found.attacked, standing, attacks)


def _notes(opened: Opened, result: RobustResult, options: AttackOptions) -> Iterator[str]:
    classes = opened.targets.num_classes
    if classes < _FEWEST_TARGETED and any(column.name == AA_REAL for column in result.columns):
        place = "APGD-DLR takes the place of APGD-T" if classes > 2 else "APGD-T is left out"
        yield f"{AA_REAL}, on {classes} logits: {place}, whose DLR loss needs {_FEWEST_TARGETED}."
    if options.sanity_images and not options.threat.epsilon:
        yield "Epsilon 0 is no attack: there was nothing for the sanity checks to look at."
    yield from result.remarks
