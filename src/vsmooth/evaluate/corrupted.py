"""Accuracy and calibration under shift: one evaluation for each corruption and severity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from vsmooth.data import Batch
from vsmooth.data.corruptions import SEVERITIES, check_corruption, corrupt, list_corruptions
from vsmooth.evaluate.clean import evaluate_clean
from vsmooth.evaluate.predict import predict
from vsmooth.records.shift import CLEAN, CorruptedMetrics


def evaluate_corrupted(
    model: nn.Module,
    batches: Callable[[], Iterable[Batch | tuple[Tensor, Tensor]]],
    *,
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
) -> Iterator[CorruptedMetrics]:
    """Evaluate on the unchanged images, then on each corruption (None: all) at each severity; a row at a time.

    `batches()` is called once for each row and gives (images, labels) in the order of the split, always the same: the
    place of an image in that order and `seed` decide its noise, so two models see the same corrupted images.
    ValueError, before any work, for an unknown corruption or severity.
    """
    names = list_corruptions() if corruptions is None else tuple(corruptions)
    wanted = [(name, severity) for name in names for severity in severities]
    for name, severity in wanted:
        check_corruption(name, severity)
    return _rows(model, batches, wanted, seed)


def _rows(
    model: nn.Module,
    batches: Callable[[], Iterable[Batch | tuple[Tensor, Tensor]]],
    wanted: list[tuple[str, int]],
    seed: int,
) -> Iterator[CorruptedMetrics]:
    yield _evaluate(model, batches(), CLEAN, 0)
    for name, severity in wanted:
        yield _evaluate(model, _corrupted(batches(), name, severity, seed), name, severity)


def _corrupted(
    batches: Iterable[Batch | tuple[Tensor, Tensor]], name: str, severity: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    first = 0
    for images, labels in batches:
        yield corrupt(images, name, severity, seed=seed, indices=first + torch.arange(len(images))), labels
        first += len(images)


def _evaluate(
    model: nn.Module, batches: Iterable[Batch | tuple[Tensor, Tensor]], name: str, severity: int
) -> CorruptedMetrics:
    found = evaluate_clean(predict(model, batches))
    return CorruptedMetrics(
        name, severity, found.accuracy, found.ece, found.nll, found.mean_confidence, found.samples
    )
