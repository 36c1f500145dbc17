"""Verification of saved adversarial images against the record beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from vsmooth.data import Dataset
from vsmooth.data.storage.files import evenly_spaced
from vsmooth.digests import DamagedFileError, check_digest
from vsmooth.evaluate import Standing, predict
from vsmooth.experiments.robust.attack import load_test_images
from vsmooth.experiments.robust.options import question_name
from vsmooth.experiments.robust.plan import fingerprint
from vsmooth.experiments.run import finished_record
from vsmooth.experiments.run_paths import open_run
from vsmooth.records.robust import ADVERSARIAL_FILE, ROBUST_FILE, Adversarial, RobustRecord, read_record_file
from vsmooth.records.run import BEST_WEIGHTS_FILE, Checkpoint

_BATCH = 128
_REMEDY = "put back a copy of it, or attack again"
_FOLDER = re.compile(r"((?:linf|l2)-[^-]+(?:-\d+)?-n\d+)-[0-9a-f]{10}")  # 1e-05 has a hyphen of its own
_TIE = 1e-4  # of the largest logit: in another batch, or on other hardware, logits are rounded so differently


@dataclass(frozen=True)
class VerifyReport:
    """What the shipped model says of a file of adversarial images.

    clean, standing: right without an attack, and right on both images; `expected`: the record's headline. outside: how
    many images left the ball or the bounds; farthest: the largest distance from a clean image. not_fooling: images that
    the file says were broken and that the model classifies correctly. ties: images where two classes are so close that
    rounding decides, or chance in a randomised network; they count as the file has them. misjudged: images whose
    decision, clean or attacked, is another, besides those. problems: a sentence for each thing that is not as the
    record says, none where all is.
    """

    images: int
    clean: Standing
    standing: Standing
    expected: Standing
    outside: int
    farthest: float
    not_fooling: int
    ties: int
    misjudged: int
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything is as the record says."""
        return not self.problems


def verify_attack(run_folder: Path, dataset: Dataset, file: Path) -> VerifyReport:
    """Judge the images of `file` on the network in `run_folder`; the record lies beside `file`.

    ValueError for files that are missing, damaged or of other images than this test split, and for other data than the
    run's.
    """
    saved, record = Adversarial.load(file), read_record_file(file.parent / ROBUST_FILE)
    checkpoint = _attacked_checkpoint(run_folder, record)
    model = open_run(run_folder, dataset, checkpoint).eval()
    clean = _clean_images(saved, dataset, file)
    judged = saved.images.nan_to_num().clamp(0, 1)
    judge = _judge if record.judgements == 1 else partial(_judge_often, times=record.judgements)
    before, early_ties = judge(model, clean, saved.labels, saved.clean_decisions)
    after, late_ties = judge(model, judged, saved.labels, saved.decisions)
    right = before == saved.labels
    stands = right & (after == saved.labels)
    claimed = (saved.clean_decisions == saved.labels) & (saved.decisions != saved.labels)
    report = VerifyReport(
        images=len(right),
        clean=Standing.of(int(right.sum()), len(right)),
        standing=Standing.of(int(stands.sum()), len(right)),
        expected=record.headline,
        outside=int((~replace(record.threat, low=0.0, high=1.0).contains(saved.images, clean)).sum()),
        farthest=float(record.threat.distance(saved.images, clean).max()),
        not_fooling=int((claimed & stands).sum()),
        ties=int((early_ties | late_ties).sum()),
        misjudged=int((((before != saved.clean_decisions) | (after != saved.decisions)) & ~(claimed & stands)).sum()),
    )
    problems = (
        *_other_data(saved, record, dataset),
        *_problems(report, record, fingerprint(run_folder, checkpoint)),
        *_contradictions(record, file.parent.name),
        *_other_file(file, record),
    )
    return replace(report, problems=problems)


def _attacked_checkpoint(run_folder: Path, record: RobustRecord) -> Checkpoint:
    """Which of the run's weights were attacked; the last where it is neither."""
    best = finished_record(run_folder).digests.get(BEST_WEIGHTS_FILE, "")
    return "best" if best and best.startswith(record.weights) else "last"


def _clean_images(saved: Adversarial, dataset: Dataset, file: Path) -> Tensor:
    total = len(dataset.test)
    if not 0 <= int(saved.indices.min()) <= int(saved.indices.max()) < total:
        raise ValueError(f"{file} has images from outside the {total} of {dataset.name}'s test split")
    clean, labels = load_test_images(dataset, saved.indices)
    if not torch.equal(labels, saved.labels) or clean.shape != saved.images.shape:
        raise ValueError(f"{file} is of other images than the test split of {dataset.name}: labels or shape differ")
    return clean


def _judge(model: nn.Module, images: Tensor, labels: Tensor, saved: Tensor) -> tuple[Tensor, Tensor]:
    """The decisions (N,), the saved one where it is as large as any up to rounding; and where that was needed."""
    logits = predict(model, zip(images.split(_BATCH), labels.split(_BATCH), strict=True)).logits
    known = (saved >= 0) & (saved < logits.shape[1])
    slack = _TIE * logits.abs().amax(1).clamp(min=1)
    theirs = logits.gather(1, torch.where(known, saved, 0)[:, None]).squeeze(1)
    decided = torch.where(known & (theirs >= logits.amax(1) - slack), saved, logits.argmax(1))
    return decided, decided != logits.argmax(1)


def _judge_often(
    model: nn.Module, images: Tensor, labels: Tensor, saved: Tensor, *, times: int
) -> tuple[Tensor, Tensor]:
    """The same for a randomised network, of which the file is right unless the decisions cannot be chance.

    That is for an image saved as right, if none is right now; for one saved as wrong, if nine in ten are.
    """
    pieces = list(zip(images.split(_BATCH), labels.split(_BATCH), strict=True))
    decisions = torch.stack([predict(model, pieces).logits.argmax(1) for _ in range(times)])
    right = (decisions == labels).sum(0)
    usual = decisions.mode(0).values
    contradicted = torch.where(saved == labels, right == 0, 10 * right >= 9 * times)
    return torch.where(contradicted, usual, saved), ~contradicted & (usual != saved)


def _problems(report: VerifyReport, record: RobustRecord, weights: str) -> Iterator[str]:
    """What the images do not show."""
    if record.weights != weights:
        yield f"the record is of a network with other weights ({record.weights}) than this run has now ({weights})"
    if report.outside:
        yield (
            f"{report.outside} of {report.images} images are outside the {record.threat.norm} ball of epsilon "
            f"{record.threat.epsilon:.4g} or outside [0, 1]; the farthest is {report.farthest:.4g} away"
        )
    if report.not_fooling:
        yield f"{report.not_fooling} images that the file counts as broken are classified correctly"
    if report.misjudged:
        yield f"{report.misjudged} of {report.images} images have another decision than the file says"
    for name, found, expected in (
        ("are right when clean", report.clean, record.clean),
        ("stand", report.standing, record.headline),
    ):
        if found.count != expected.count or found.images != expected.images:
            yield f"{found.count} of {found.images} {name}, the record says {expected.count} of {expected.images}"


def _contradictions(record: RobustRecord, folder: str) -> Iterator[str]:
    """Where the record and the name of its folder do not agree with each other."""
    if (record.threat.low, record.threat.high) != (0.0, 1.0):
        yield f"its bounds are {record.threat.low:g} and {record.threat.high:g}, but images are in [0, 1]"
    named = _FOLDER.fullmatch(folder)
    if named and named[1] != (claimed := question_name(record.threat, record.images)):
        yield f"the record says {claimed}, its folder {named[1]}"
    if not record.columns:
        yield "the record has no attack"
    for column in record.columns:
        if not record.headline.count <= column.standing.count <= record.clean.count:
            yield (
                f"the record contradicts itself: {column.name} has {column.standing.count} standing, not between "
                f"its headline, {record.headline.count}, and its {record.clean.count} right when clean"
            )
        left = [column.attacked, *(attack.standing for attack in column.attacks)]
        whole = column.standing.images == record.images and left[-1] == column.standing.count
        if not whole or left != sorted(left, reverse=True):
            yield (
                f"the record contradicts itself: {column.name} has {column.standing.count} of "
                f"{column.standing.images} standing, its attacks leave {', '.join(map(str, left[1:]))} of {left[0]}"
            )


def _other_file(file: Path, record: RobustRecord) -> Iterator[str]:
    """Where the file is not the one that the record was written with, whatever its images show."""
    try:
        check_digest(file, {file.name: record.digests.get(ADVERSARIAL_FILE, "")}, file.parent / ROBUST_FILE, _REMEDY)
    except DamagedFileError as error:
        yield str(error)


def _other_data(saved: Adversarial, record: RobustRecord, dataset: Dataset) -> Iterator[str]:
    """Where the record is not of this test split."""
    if not torch.equal(saved.indices, evenly_spaced(len(dataset.test), min(record.images, len(dataset.test)))):
        yield f"the images are not the {record.images} evenly spaced ones of the record"
    if (record.split_images, record.num_classes) != (len(dataset.test), dataset.num_classes):
        yield (
            f"the record is of {record.split_images} images of {record.num_classes} classes, {dataset.name} has "
            f"{len(dataset.test)} of {dataset.num_classes}"
        )
