"""All calibration metrics with bootstrap intervals on an ImageNet-sized split of 100 classes: seconds and memory."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator

import torch

from benchmarks.timing import Row, timed
from vsmooth.metrics import bootstrap_intervals, brier_decomposition, fit_temperature, reliability_bins

SAMPLES, CLASSES, RESAMPLES = 50_000, 100, 1000
SECONDS, GIBIBYTES = 20, 1


def rows() -> Iterator[Row]:
    """Seconds and peak memory against their bars, from a process of its own: memory once used shows for ever."""
    child = subprocess.run([sys.executable, "-m", __name__], check=True, capture_output=True, text=True)
    seconds, gibibytes = map(float, child.stdout.split())
    name = f"calibration, N={SAMPLES} K={CLASSES}, {RESAMPLES} resamples"
    yield Row(name, f"{SECONDS} seconds ({seconds:.1f})", seconds / SECONDS, 1.0)
    against = f"{GIBIBYTES} GiB with torch itself ({gibibytes:.2f})"
    yield Row(f"{name}, memory", against, gibibytes / GIBIBYTES, 1.0)


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

    seconds = timed(everything)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS reports bytes, Linux KiB
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30)


if __name__ == "__main__":
    _measure()
