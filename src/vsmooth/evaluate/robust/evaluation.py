"""Robust accuracy: columns of attacks on one model, and the pointwise worst case over all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor, nn

from vsmooth.attacks import Attack, ThreatModel
from vsmooth.data.storage.images import check_images
from vsmooth.evaluate.robust.cascade import Cascade, Column, On, Sharing
from vsmooth.evaluate.robust.parts import Parts
from vsmooth.evaluate.robust.targets import Targets
from vsmooth.head import LogitSet
from vsmooth.metrics.inputs import check_labels
from vsmooth.models.inference import Precision

OnProgress = Callable[[str, str, int, int, int], None]
_RANDOM = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How an evaluation is done, whatever the attacks; the result depends on all but the last three.

    batch_size: a batch that memory has no room for is halved. seed: every batch begins from it, so that the result does
    not depend on how often the evaluation was interrupted or on how many processes share it. precision: "bf16" makes
    the first attack of each column in bfloat16 first; what stands it is attacked by all of them in fp32 before it
    counts. targets: of the model, where they were built before, or otherwise than by default.
    parts: what finished batches are kept in and read back from (None: not kept). sharing: this process among those that
    work on it together. on_progress(column, attack, done, total, standing): images that this process is through with,
    of those it has in this attack, and how many of all still stand in the column as far as it knows.

    ValueError for a batch size under 1, and for several processes without `parts`.
    """

    batch_size: int = 128
    seed: int = 0
    precision: Precision = "fp32"
    targets: Targets | None = None
    parts: Parts | None = None
    sharing: Sharing = field(default_factory=Sharing)
    on_progress: OnProgress | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.sharing.world_size > 1 and self.parts is None:
            several = f"{self.sharing.world_size} processes"
            raise ValueError(f"{several} share what they find in parts: pass parts, one folder for all")


@dataclass(frozen=True, eq=False)
class AttackResult:
    """One attack of a column, the precision it crafted in, and how many images stood after it."""

    attack: Attack
    precision: Precision
    standing: int


@dataclass(frozen=True, eq=False)
class ColumnResult:
    """One column: what stands of all images (N,) bool after `attacked` of them were attacked."""

    name: str
    view: LogitSet
    on: On
    attacked: int
    stands: Tensor
    attacks: tuple[AttackResult, ...]


@dataclass(frozen=True, eq=False)
class RobustResult:
    """Of N images, on the CPU.

    clean: (N,) bool, right without an attack. stands: (N,) bool, right after every attack of every column: the
    headline. images: (N, C, H, W) float32, an adversarial image for each one that was broken, else the clean one.
    judgements: how often each image was judged, more than once where the network is randomised (see `Target`).
    remarks: what else a reader should know of how the network was attacked, as sentences.
    """

    clean: Tensor
    columns: tuple[ColumnResult, ...]
    stands: Tensor
    images: Tensor
    judgements: int = 1
    remarks: tuple[str, ...] = ()


def evaluate_robust(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    columns: Sequence[Column],
    threat: ThreatModel,
    *,
    num_classes: int,
    evaluation: Evaluation | None = None,
) -> RobustResult:
    """Attack `model` with every column and judge each image by the worst.

    images (N, C, H, W) floating point in [0, 1], labels (N,) in 0..K-1. evaluation: batch size, seed, precision, where
    finished batches are kept, processes and progress; the defaults if not given.

    Raises:
        ValueError: images outside [0, 1] or normalised, labels out of range, no columns or two of one name, a view
            "all" without virtual classes.

    Source: Croce and Hein (2020), Sec. 4 (the worst case over an ensemble, each on what the others left).
    """
    evaluation = evaluation or Evaluation()
    _check(images, labels, columns, num_classes)
    _warn_of_training(model)
    images, labels = images.detach().float().cpu(), labels.cpu().long()
    targets = evaluation.targets or Targets(model, images, num_classes=num_classes)
    cascade = Cascade(images, labels, threat, targets.device, evaluation)
    cascade.judge_clean(targets("real"))
    stages = enumerate(columns)
    found = tuple(_run_column(cascade, f"{number:02d}", column, targets, evaluation) for number, column in stages)
    return RobustResult(cascade.right, found, cascade.stands, cascade.found, targets.judgements, targets.remarks)


def _run_column(
    cascade: Cascade, stage: str, column: Column, targets: Targets, evaluation: Evaluation
) -> ColumnResult:
    standing = (cascade.right if column.on == "right" else cascade.stands).clone()
    attacked = int(standing.sum())
    results = []
    for number, (attack, how) in enumerate(_rounds(column, evaluation.precision)):
        tell = partial(evaluation.on_progress or _silent, column.name, attack.name)
        standing = cascade.attack(f"{stage}-{number:02d}", attack, targets(column.view, how), standing, tell)
        results.append(AttackResult(attack, how, int(standing.sum())))
    return ColumnResult(column.name, column.view, column.on, attacked, standing, tuple(results))


def _rounds(column: Column, precision: Precision) -> Iterator[tuple[Attack, Precision]]:
    """The first attack in bf16, which finds most, then all in fp32: they have the last word on what stands.

    The costlier attacks hardly find what the first one missed: in bf16 too they would only be paid for twice.
    """
    if precision == "bf16":
        yield column.attacks[0], "bf16"
    yield from ((attack, "fp32") for attack in column.attacks)


def _check(images: Tensor, labels: Tensor, columns: Sequence[Column], num_classes: int) -> None:
    check_images(images)
    check_labels(labels, len(images), num_classes)
    names = [column.name for column in columns]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"there must be columns, and each its own name, got {names}")


def _warn_of_training(model: nn.Module) -> None:
    active = [name for name, module in model.named_modules() if module.training and isinstance(module, _RANDOM)]
    if model.training or active:
        what = f"dropout is active ({active[0] or 'the model itself'})" if active else "the model is in train mode"
        warnings.warn(f"{what}: it is attacked and judged in eval mode, as it is shipped", stacklevel=3)


def _silent(column: str, attack: str, done: int, total: int, standing: int) -> None:
    """Reports no progress."""
