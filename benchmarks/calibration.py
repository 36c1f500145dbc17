"""All calibration metrics with bootstrap intervals on an ImageNet-sized split of 100 classes: seconds and memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from statistics import median

import torch

from benchmarks.timing import Row, timed
from vsmooth.memory import peak_memory
from vsmooth.metrics import bootstrap_intervals, brier_decomposition, fit_temperature, reliability_bins

SAMPLES, CLASSES, RESAMPLES = 50_000, 100, 1000
SECONDS, GIBIBYTES = 20, 1
CHILDREN = 3  # the allocator does not use the same memory twice


def rows() -> Iterator[Row]:
    """Median seconds and largest peak memory of several processes of their own: memory once used shows for ever."""
    found = [_child() for _ in range(CHILDREN)]
    seconds, gibibytes = median(seconds for seconds, _ in found), max(peak for _, peak in found)
    name = f"calibration, N={SAMPLES} K={CLASSES}, {RESAMPLES} resamples"
    yield Row(name, f"{SECONDS} seconds ({seconds:.1f})", seconds / SECONDS, 1.0)
    against = f"{GIBIBYTES} GiB with torch itself ({gibibytes:.2f})"
    yield Row(f"{name}, memory", against, gibibytes / GIBIBYTES, 1.0)


def _child() -> tuple[float, float]:
    child = subprocess.run([sys.executable, "-m", __name__], check=True, capture_output=True, text=True)
    seconds, gibibytes = map(float, child.stdout.split())
    return seconds, gibibytes


def _measure() -> None:
    """From logits to every metric with its interval, the reliability diagram and the fitted temperature."""
    torch.manual_seed(0)
    logits = 2 * torch.randn(SAMPLES, CLASSES)
    labels = (logits + 2 * torch.randn(SAMPLES, CLASSES)).argmax(1)

    def everything() -> None:
        probabilities = logits.double().softmax(1)
        bootstrap_intervals(probabilities, labels, resamples=RESAMPLES)
        reliability_bins(probabilities, labels)
        brier_decomposition(probabilities, labels)
        fit_temperature(logits, labels)

    print(timed(everything), (peak_memory() or 0) / 2**30)


if __name__ == "__main__":
    _measure()
