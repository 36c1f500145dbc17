"""A training step of a wide linear head, as of a language model: one collapsed virtual row against none and against K.

``python -m benchmarks vocabulary 1000`` measures it for another number of classes than the 50,257 of GPT-2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import nn

from benchmarks.timing import Row, medians, timed
from vsmooth import OneHot, SmoothedCrossEntropy, VirtualSmoothing, add_virtual_classes

CLASSES, WIDTH, SAMPLES, ROUNDS = 50_257, 256, 256, 5
ALPHA, BAR = 0.1, 1.05


def rows(classes: int = CLASSES) -> Iterator[Row]:
    """Forward, backward and SGD step of the head and its loss, against those of the K-way head with cross entropy."""
    names = ("plain", "collapsed", "V = K")
    schemes = (OneHot(), VirtualSmoothing(ALPHA, collapsed=True), VirtualSmoothing(ALPHA))
    steps = dict(zip(names, (_step(scheme, classes) for scheme in schemes), strict=True))
    times = medians({name: partial(timed, step) for name, step in steps.items()}, ROUNDS)
    about = f"head of {classes:,} classes, N={SAMPLES}, D={WIDTH}"
    yield Row(f"{about}: collapsed", "the K-way head", times["collapsed"] / times["plain"], BAR)
    yield Row(f"{about}: collapsed", "V = K virtual rows", times["collapsed"] / times["V = K"], 0.6)


def _step(scheme: OneHot | VirtualSmoothing, classes: int) -> Callable[[], None]:
    torch.manual_seed(0)
    head: nn.Module = nn.Linear(WIDTH, classes)
    if isinstance(scheme, VirtualSmoothing):
        head = add_virtual_classes(head, collapsed=scheme.collapsed)
    criterion, optimizer = SmoothedCrossEntropy(scheme, classes), torch.optim.SGD(head.parameters(), 1e-3)
    features, targets = torch.randn(SAMPLES, WIDTH, requires_grad=True), torch.randint(0, classes, (SAMPLES,))

    def step() -> None:
        criterion(head(features), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
        features.grad = None

    return step


def main(arguments: Sequence[str]) -> int:
    """Print the rows; 1 if a bar was missed."""
    found = list(rows(*map(int, arguments)))
    print(*found, sep="\n")
    return 0 if all(row.holds for row in found) else 1
