"""Timing two or more things side by side: rounds are interleaved, so drift of the machine hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from torch.profiler import ProfilerActivity, profile


@dataclass(frozen=True)
class Row:
    """One line of the table: a measured ratio and the most (or the least) that it may be."""

    name: str
    against: str
    ratio: float
    bar: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        return self.ratio >= self.bar if self.at_least else self.ratio <= self.bar

    def __str__(self) -> str:
        bar = f"{'>=' if self.at_least else '<='} {self.bar:4.2f}x"
        return f"{self.name:46} {self.against:40} {self.ratio:6.3f}x {bar}  {'ok' if self.holds else 'MISSED'}"


def timed(call: Callable[[], object]) -> float:
    """Seconds that ``call`` takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def medians(measures: Mapping[str, Callable[[], float]], rounds: int, repeats: int = 3) -> dict[str, float]:
    """Median of the seconds that each measure returns, over interleaved rounds of ``repeats`` after one warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            measure()
            seconds[name] += [measure() for _ in range(repeats)]
    return {name: median(values) for name, values in seconds.items()}


def peak_bytes(call: Callable[[], object]) -> int:
    """Most bytes that ``call`` holds at once beyond what was there before, as the CPU allocator sees it."""
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events = (e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]")
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak
