"""The loss, forward and backward on a CPU, against torch's cross entropy on the same logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Row, medians, peak_bytes, timed
from vsmooth import VirtualSmoothing, VirtualSmoothingLoss

ALPHA = 0.3
LARGE = ((1024, 1000, 30), (256, 21_000, 8))  # N, K = V, rounds
SMALL = (128, 10, 600)


def rows() -> Iterator[Row]:
    """All ratios of the loss, largest sizes first."""
    for samples, classes, rounds in LARGE:
        yield from _large(samples, classes, rounds)
    samples, classes, rounds = SMALL
    calls, _ = _calls(samples, classes)
    times = medians({name: partial(timed, calls[name]) for name in ("hard", "ours")}, rounds)
    yield Row(_name(samples, classes, "eager"), "F.cross_entropy, hard labels", times["ours"] / times["hard"], 1.5)


def _large(samples: int, classes: int, rounds: int) -> Iterator[Row]:
    calls, size = _calls(samples, classes)
    times = medians({name: partial(timed, call) for name, call in calls.items()}, rounds)
    name = _name(samples, classes, "eager")
    yield Row(name, "F.cross_entropy, hard labels", times["ours"] / times["hard"], 1.0)
    yield Row(name, "F.cross_entropy, dense target", times["ours"] / times["dense"], 0.6)
    compiled = _name(samples, classes, "compiled")
    yield Row(compiled, "F.cross_entropy, hard labels", times["compiled"] / times["hard"], 0.5)
    for label in ("ours", "compiled"):
        memory = _name(samples, classes, f"{'eager' if label == 'ours' else label}, peak memory")
        yield Row(memory, "the logits themselves", peak_bytes(calls[label]) / size, 1.1)


def _calls(samples: int, classes: int) -> tuple[dict[str, Callable[[], object]], int]:
    torch.manual_seed(0)
    logits = torch.randn(samples, 2 * classes, requires_grad=True)
    targets = torch.randint(0, classes, (samples,))
    dense = VirtualSmoothing(ALPHA).encode(targets, classes)

    ours = VirtualSmoothingLoss(classes, ALPHA)
    compiled = torch.compile(ours, fullgraph=True, dynamic=False)

    def both_ways(loss: Callable[[], Tensor]) -> Callable[[], None]:
        def call() -> None:
            loss().backward()
            logits.grad = None

        return call

    losses: dict[str, Callable[[], Tensor]] = {
        "hard": lambda: F.cross_entropy(logits, targets),
        "dense": lambda: F.cross_entropy(logits, dense),
        "ours": lambda: ours(logits, targets),
        "compiled": lambda: compiled(logits, targets),
    }
    return {name: both_ways(loss) for name, loss in losses.items()}, logits.numel() * logits.element_size()


def _name(samples: int, classes: int, mode: str) -> str:
    return f"loss, N={samples} K=V={classes}, {mode}"
