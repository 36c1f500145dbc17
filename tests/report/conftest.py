"""A comparison made of seeded random logits: four labels, three seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from record_builders import epoch_record, run_record

from vsmooth.records.comparison import Comparison, write_summary
from vsmooth.records.outcomes import outcomes
from vsmooth.records.run import Candidate, EpochRecord, RunRecord, write_record
from vsmooth.report.comparison.reliability import reliability_bins

SAMPLES, CLASSES = 1500, 10
# label, alpha, signal, temperature: the temperature sets how confident the made-up network is
CASES = (
    ("one-hot", 0.0, 3.6, 0.62),
    ("label-smoothing", 0.4, 3.75, 1.75),
    ("virtual-smoothing", 0.1, 3.65, 0.85),
    ("virtual-smoothing", 0.5, 3.7, 1.0),
)


def make_run(directory: Path, case: tuple[str, float, float, float], seed: int) -> RunRecord:
    label, alpha, signal, temperature = case
    shared = np.random.default_rng(seed)  # the same noise for every label: a paired design
    own = np.random.default_rng([seed, 1 + int(alpha * 100)])
    labels = np.random.default_rng(0).integers(0, CLASSES, SAMPLES)
    noise = shared.normal(size=(SAMPLES, CLASSES)) + 0.3 * own.normal(size=(SAMPLES, CLASSES))
    clarity = signal * shared.uniform(0.2, 1.5, (SAMPLES, 1))
    logits = (1.6 * (noise + clarity * np.eye(CLASSES)[labels]) / temperature).astype(np.float32)
    folder = f"{label}-{alpha:g}-{seed}"
    (directory / folder).mkdir(parents=True)
    np.savez(directory / folder / "predictions-test.npz", logits=logits, labels=labels)
    metrics = scores(logits, labels)
    history = tuple(make_epoch(epoch, metrics, own.normal()) for epoch in range(1, 16))
    num_virtual = CLASSES if label == "virtual-smoothing" else 0
    return run_record(
        label, alpha, num_virtual, seed, "embedded", "small", 15, 79_834, CLASSES, metrics,
        24.5 + seed, 9100.0 - seed, history, folder,
        digests=digests_of(directory / folder / "predictions-test.npz"),
    )


def digests_of(file: Path) -> dict[str, str]:
    """Of test predictions, which stand for those of the validation split where a test copies them."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {file.name: digest, "predictions-validation.npz": digest}


def make_epoch(epoch: int, final: dict[str, float], noise: float) -> EpochRecord:
    accuracy = final["accuracy"] * (1 - 0.5 / (epoch + 1)) + 0.004 * noise
    nll, ece = final["nll"] * (1 + 1.2 / epoch), final["ece"] * (1 + 0.6 / epoch)
    return epoch_record(epoch, 2.3 / epoch, 0.1, 2.0, 9000.0, accuracy, nll, ece, final["mean_confidence"])


def scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    exponentials = np.exp(logits.astype(np.float64))
    soft = exponentials / exponentials.sum(1, keepdims=True)
    found = outcomes(logits, labels)
    bins = reliability_bins(found)
    gaps = np.nan_to_num(np.abs(bins.accuracy - bins.confidence))
    return {
        "accuracy": float(found.correct.mean()),
        "ece": float((gaps * bins.counts).sum() / len(labels)),
        "nll": float(found.nll.mean()),
        "brier": float(((soft - np.eye(CLASSES)[labels]) ** 2).sum(1).mean()),
        "mean_confidence": float(found.confidence.mean()),
    }


@pytest.fixture
def make_comparison(tmp_path: Path) -> Callable[..., Comparison]:
    def make(seeds: int = 3, cases: tuple[tuple[str, float, float, float], ...] = CASES) -> Comparison:
        runs = [make_run(tmp_path, case, seed) for case in cases for seed in range(seeds)]
        candidates = (Candidate("VS 0.1", 0.1, 0.49, 0.83), Candidate("VS 0.5", 0.5, 0.45, 0.84))
        runs = [replace(run, selected_from=candidates) if run.name == "VS 0.5" else run for run in runs]
        for run in runs:
            write_record(run, tmp_path / run.folder)
        command = "vsmooth compare --labels one-hot ls:0.4 vs:0.1 vs:auto"
        environment = {"python": "3.12", "commit": "abc1234", "device": "cpu", "date": "2026-11-22"}
        comparison = Comparison(tuple(runs), command, environment, tuple("abcdefghij"), tmp_path)
        write_summary(comparison, tmp_path)
        return comparison

    return make


@pytest.fixture
def comparison(make_comparison: Callable[..., Comparison]) -> Comparison:
    return make_comparison()
