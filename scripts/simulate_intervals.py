"""Simulate every kind of interval and verdict that vsmooth prints: coverage and false verdicts, as markdown tables.

    python scripts/simulate_intervals.py [--trials 200] [--only calibration differences ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import binom
from torch import Tensor

from vsmooth.evaluate import Features, evaluate_similarity
from vsmooth.metrics import (
    BootstrapInterval,
    accuracy,
    bootstrap_intervals,
    bootstrap_statistic,
    brier_score,
    calibration_error_interval,
    expected_calibration_error,
    negative_log_likelihood,
)
from vsmooth.metrics.binning import equal_width_index, wilson_interval
from vsmooth.metrics.detection import WITH_INTERVAL, detection_metrics
from vsmooth.metrics.detection_intervals import detection_intervals
from vsmooth.records.comparison import Comparison
from vsmooth.records.objective import ONE_HOT, ObjectiveRecord
from vsmooth.records.run import RunRecord
from vsmooth.records.statistics import SIGNIFICANCE, holm, paired_difference, variation_of_mean
from vsmooth.records.variant import Variant

TRUTHS, SIZES, RESAMPLES = (0.0, 0.005, 0.01, 0.02, 0.05), (500, 2000, 10_000), 200
MANY, CLASSES = 400_000, 10
Floats = npt.NDArray[np.float64]


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(f'{cell:.2f}' if isinstance(cell, float) else str(cell) for cell in row)} |", flush=True)


# Calibration errors and mean scores of one network ------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Softmax probabilities of a calibrated source, made over-confident by a factor on the logits."""

    factor: float

    def draw(self, samples: int, seed: int) -> tuple[Tensor, Tensor]:
        logits, honest, generator = self._logits(samples, seed)
        labels = torch.multinomial(honest, 1, generator=generator).squeeze(1)
        return (self.factor * logits).softmax(1), labels

    def errors(self, bins: int) -> tuple[float, float]:
        """Population ECE and root mean square error, from the honest probability of each prediction."""
        logits, honest, _ = self._logits(MANY, 99)
        confidence, predicted = (self.factor * logits).softmax(1).max(1)
        gap = confidence - honest.gather(1, predicted[:, None]).squeeze(1)
        index = equal_width_index(confidence, bins)
        share = torch.bincount(index, minlength=bins) / MANY
        mean = torch.bincount(index, gap, minlength=bins) / MANY  # share times gap
        return float(mean.abs().sum()), float((mean.square() / share).nan_to_num().sum().sqrt())

    def _logits(self, samples: int, seed: int) -> tuple[Tensor, Tensor, torch.Generator]:
        generator = torch.Generator().manual_seed(seed)
        logits = 2.2 * torch.randn(samples, CLASSES, generator=generator, dtype=torch.float64)
        return logits, logits.softmax(1), generator


def source_with(error: float) -> Source:
    """The source whose root mean square error over 15 bins is `error`."""
    low, high = 1.0, 2.0
    for _ in range(20 if error else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if Source(middle).errors(15)[1] < error else (low, middle)
    return Source(low)


def calibration(trials: int) -> None:
    names = ("debiased ECE", "ECE (15)", "ECE (10)", "accuracy", "NLL", "Brier")
    rows, widths = [], []
    for error in TRUTHS:
        source = source_with(error)
        (ece_10, _), (ece_15, rms) = source.errors(10), source.errors(15)
        whole = source.draw(MANY, 98)
        scores = accuracy(*whole), negative_log_likelihood(*whole), brier_score(*whole)
        truth = (*((0.0,) * 3 if error == 0 else (rms, ece_15, ece_10)), *scores)
        for samples in SIZES:
            found = [_all_intervals(source.draw(samples, trial)) for trial in range(trials)]
            rows.append([f"{error:g}", f"{samples:,}", *_coverage(found, truth)])
            width = np.mean([[one.high - one.low for one in row[:2]] for row in found], axis=0)
            widths.append([f"{error:g}", f"{samples:,}", *(f"{value:.3f}" for value in width)])
    table(f"Coverage of 95 % intervals, {trials} trials", ("truth", "N", *names), rows)
    table("Their mean width", ("truth", "N", *names[:2]), widths)


def _all_intervals(sample: tuple[Tensor, Tensor]) -> list[BootstrapInterval]:
    errors = [
        calibration_error_interval(*sample, "debiased_ece", 15), calibration_error_interval(*sample, "ece", 15),
        calibration_error_interval(*sample, "ece", 10),
    ]
    return [*errors, *bootstrap_intervals(*sample, resamples=RESAMPLES).values()]


def _coverage(found: Sequence[Sequence[BootstrapInterval]], truth: Sequence[float]) -> list[float]:
    held = [[one.low - 1e-9 <= real <= one.high for one, real in zip(row, truth, strict=True)] for row in found]
    return [float(share) for share in np.mean(held, axis=0)]


# Shares of images ---------------------------------------------------------------------------------------------------


def shares(trials: int) -> None:
    """Wilson's interval, exactly: every count weighed with its binomial probability; no trials are needed."""
    rows = []
    for truth in (0.0, 0.005, 0.01, 0.02, 0.05, 0.5, 0.9):
        row: list[object] = [f"{truth:g}"]
        for images in (100, 500, 2000, 10_000):
            counts = torch.arange(images + 1)
            low, high = wilson_interval(counts, torch.tensor(images))
            held = ((low - 1e-12 <= truth) & (truth <= high)).numpy()
            row.append(float(binom.pmf(counts.numpy(), images, truth) @ held))
        rows.append(row)
    table("Coverage of Wilson's 95 % interval, exact", ("truth", "n 100", "500", "2,000", "10,000"), rows)


# Verdicts about accuracy where there is no difference ---------------------------------------------------------------


@dataclass(frozen=True)
class Chance:
    """What makes networks differ though their labels do not: standard deviations in a latent score of an image.

    image: of each network on each image; label: of a label on an image, the same for its seeds; run: of a network.
    """

    image: float = 0.5
    label: float = 0.0
    run: float = 0.0

    def right(self, groups: int, seeds: int, images: int, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
        """Which of two or more labels' networks are right on which image, (groups, seeds, images); 9 of 10 are."""
        score = 1.5 + generator.normal(size=images)
        score = score + self.label * generator.normal(size=(groups, 1, images))
        score = score + self.run * generator.normal(size=(groups, seeds, 1))
        return np.asarray(score + self.image * generator.normal(size=(groups, seeds, images)) > 0)


CHANCES = {
    "images": Chance(), "images and labels": Chance(label=0.3), "images and networks": Chance(run=0.03),
}


def verdicts(trials: int) -> None:
    rows = []
    for name, chance in CHANCES.items():
        for images in (100, 2000, 10_000):
            trial_values = [_verdicts(chance, images, trial) for trial in range(5 * trials)]
            rows.append([name, f"{images:,}", *(float(value) for value in np.mean(trial_values, axis=0))])
    columns = ("by chance differ", "n", *(f"{kind}, {seeds} seeds" for seeds in (2, 3, 5) for kind in ("was", "is")))
    table(f"False verdicts on accuracy (was: Student's t over the seeds alone), {5 * trials} trials", columns, rows)


def _verdicts(chance: Chance, images: int, trial: int) -> list[bool]:
    right = chance.right(2, 5, images, np.random.default_rng([trial, images])).astype(float)
    found = []
    for seeds in (2, 3, 5):
        ours, theirs = right[:, :seeds]
        over_seeds = paired_difference(ours.mean(1).tolist(), theirs.mean(1).tolist())
        over_images = variation_of_mean((ours - theirs).mean(0))
        both = replace(over_seeds, variations=(*over_seeds.variations, over_images))
        tied = over_seeds.mean != 0 and over_seeds.low is None
        found += [tied or over_seeds.distinguishable, both.distinguishable]
    return found


# Verdicts of a whole table, and differences of ECE and NLL ----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Simulated(Comparison):
    """A comparison whose predictions are in memory, by the folder of a run."""

    logits: dict[str, npt.NDArray[np.float32]] | None = None
    labels: npt.NDArray[np.int64] | None = None

    def predictions(self, run: RunRecord) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        assert self.logits is not None
        assert self.labels is not None
        return self.logits[run.folder], self.labels


def simulated(factors: Sequence[float], seeds: int, images: int, trial: int) -> Simulated:
    """One-hot and further labels: equal noise about shared logits, each made more confident by its factor."""
    generator = np.random.default_rng([trial, images, seeds])
    shared = 2.0 * generator.normal(size=(images, CLASSES))
    labels = (shared + generator.gumbel(size=shared.shape)).argmax(1)  # a draw from softmax(shared)
    logits, runs = {}, []
    for group, factor in enumerate(factors):
        for seed in range(seeds):
            folder = f"{group}-{seed}"
            own = factor * (shared + 0.8 * generator.normal(size=shared.shape))
            logits[folder] = own.astype(np.float32)
            runs.append(_record(group, seed, folder, logits[folder], labels))
    return Simulated(tuple(runs), "", {}, ("a", "b"), logits=logits, labels=labels)


def _record(group: int, seed: int, folder: str, logits: npt.NDArray[np.float32], labels: Floats) -> RunRecord:
    probabilities, truth = torch.from_numpy(logits).double().softmax(1), torch.from_numpy(labels)
    measured = {
        "accuracy": accuracy(probabilities, truth), "nll": negative_log_likelihood(probabilities, truth),
        "ece": expected_calibration_error(probabilities, truth),
    }
    alpha = 0.01 * group
    virtual = ObjectiveRecord(f"vs:{alpha:g}", "virtual-smoothing", f"VS {alpha:g}", alpha, CLASSES)
    variant = Variant(virtual if group else ONE_HOT)
    return RunRecord(variant, seed, "", "", 1, 1, CLASSES, measured, 1.0, 1.0, (), folder)


def families(trials: int) -> None:
    rows = []
    for labels in (3, 10):
        for seeds in (1, 3):
            found = [_any_verdict(simulated([1.0] * (1 + labels), seeds, 2000, trial)) for trial in range(trials)]
            rows.append([labels, seeds, *(float(share) for share in np.mean(found, axis=0))])
    columns = ("labels beside one-hot", "seeds", "each alone", "corrected (Holm)")
    title = f"Tables of equal labels with a false verdict (accuracy, ECE, NLL), 2,000 images, {trials} trials"
    table(title, columns, rows)


def _any_verdict(comparison: Comparison) -> tuple[bool, bool]:
    found = [
        one for group in comparison.groups[1:] for metric in ("accuracy", "ece", "nll")
        if (one := comparison.differences.from_baseline(group, metric)) is not None
    ]
    p_values = [one.p_value() for one in found]
    assert [one.adjusted_p for one in found] == holm(p_values)
    return min(p_values) <= SIGNIFICANCE, any(one.distinguishable for one in found)


def differences(trials: int) -> None:
    rows = []
    for pair in ((0.85, 0.85), (1.0, 1.0), (0.85, 0.9), (0.85, 1.0), (1.0, 0.85), (0.7, 1.0)):
        large = simulated(pair, 1, MANY // 4, 10_000)
        levels = [run.value("ece") for run in large.runs]
        truth = {
            metric: large.runs[1].value(metric) - large.runs[0].value(metric) if pair[0] != pair[1] else 0.0
            for metric in ("ece", "nll")
        } | {"accuracy": 0.0}
        for seeds, images in ((1, 500), (1, 2000), (1, 10_000), (3, 2000)):
            found = [_held(simulated(pair, seeds, images, trial), truth) for trial in range(trials)]
            shares_held = [float(share) for share in np.mean(found, axis=0)]
            rows.append([*(f"{level:.3f}" for level in levels), seeds, f"{images:,}", *shares_held])
    columns = ("ECE of one", "and the other", "seeds", "n", "ECE", "NLL", "accuracy")
    table(f"Coverage of 95 % intervals of differences, {trials} trials", columns, rows)


def _held(comparison: Comparison, truth: dict[str, float]) -> list[bool]:
    held = []
    for metric, real in truth.items():
        found = comparison.differences.between(comparison.groups[1], comparison.groups[0], metric)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= real <= found.high)
    return held


# Similarity between classes, and overlap of gradients ---------------------------------------------------------------

KEYS = ("spread", "spread_across", "spread_within", "distance_variation", "cluster_spread", "human_kl",
        "human_image_rank", "human_pair_rank", "human_template_rank")  # fmt: skip


def features(kept: float, samples: int, seed: int) -> tuple[Features, Tensor]:
    """Logits that keep a share of which classes are alike, and 50 votes of people for each image."""
    alike = torch.rand(CLASSES, CLASSES, generator=torch.Generator().manual_seed(0)) * 3
    alike = (alike + alike.T) / 2 * (1 - torch.eye(CLASSES))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (samples,), generator=generator)
    own = torch.randn(samples, CLASSES, generator=generator)
    logits = 6 * torch.eye(CLASSES)[labels] + kept * (alike[labels] + own)
    logits = logits + 0.3 * torch.randn(samples, CLASSES, generator=torch.Generator().manual_seed(seed + 50_000))
    opinion = (7 * torch.eye(CLASSES)[labels] + 1.5 * alike[labels] + own).softmax(1)
    votes = torch.zeros(samples, CLASSES).scatter_add_(
        1, torch.multinomial(opinion, 50, True, generator=generator), torch.ones(samples, 50)
    )
    rows = 6 * torch.eye(CLASSES) + kept * alike
    return Features(logits, logits.clone(), labels, rows, torch.zeros(CLASSES), torch.zeros(0, CLASSES)), votes


def similarity(trials: int) -> None:
    trials = trials // 5
    (low, votes), (high, _) = features(0.6, 100_000, 1), features(1.0, 100_000, 1)
    ours, theirs = evaluate_similarity(low, votes).values, evaluate_similarity(high, votes).values
    truth = [ours[key] - theirs[key] for key in KEYS]
    rows = []
    for samples in (500, 2000):
        found = []
        for trial in range(trials):
            (one, votes), (other, _) = features(0.6, samples, trial + 2), features(1.0, samples, trial + 2)
            differences_found = evaluate_similarity(one, votes, other, resamples=100).differences
            found.append([differences_found[key] for key in KEYS])
        rows.append([f"{samples:,}", *_coverage(found, truth)])
    table(f"Coverage of 95 % intervals of differences in similarity, {trials} trials", ("n", *KEYS), rows)
    overlaps(10 * trials)


def overlaps(trials: int) -> None:
    """The mean rank correlation over 256 images, whose correlations have a Beta distribution on [-1, 1]."""
    found = []
    for trial in range(trials):
        values = torch.from_numpy(2 * np.random.default_rng(trial).beta(6, 2, 256) - 1)
        found.append(bootstrap_statistic(_mean_of(values), 256, resamples=RESAMPLES))
    title = f"Coverage of the overlap of input gradients, {trials} trials"
    table(title, ("images", "mean rank correlation"), [["256", *_coverage(found, [0.5])]])


def _mean_of(values: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda indices: values[indices].mean()[None]


# Detection of outliers ----------------------------------------------------------------------------------------------


def detection(trials: int) -> None:
    """Scores of two normal distributions, whose distance sets how well they are told apart."""
    rows = []
    for distance in (0.3, 1.2, 2.3, 3.3, 4.4):
        truth = detection_metrics(*_normal_scores(distance, MANY, MANY, MANY))
        for sizes in ((500, 500), (2000, 500), (10_000, 2000)):
            # The average precisions depend on how many of each kind there are.
            own = truth | detection_metrics(*_normal_scores(distance, MANY, MANY * sizes[1] // sizes[0], MANY))
            drawn = (_normal_scores(distance, *sizes, trial) for trial in range(trials))
            found = [detection_intervals(*pair, RESAMPLES) for pair in drawn]
            held = _coverage([[one[name] for name in WITH_INTERVAL] for one in found], [own[n] for n in WITH_INTERVAL])
            rows.append([f"{truth['auroc']:.4f}", " + ".join(f"{size:,}" for size in sizes), *held])
    title = f"Coverage of 95 % intervals of detection metrics, {trials} trials"
    table(title, ("AUROC", "inside + outside", *WITH_INTERVAL), rows)


def _normal_scores(distance: float, inside: int, outside: int, seed: int) -> tuple[Floats, Floats]:
    generator = np.random.default_rng([seed, inside, outside])
    return generator.normal(size=inside), distance + generator.normal(size=outside)


PARTS: dict[str, Callable[[int], None]] = {
    "calibration": calibration, "shares": shares, "verdicts": verdicts, "families": families,
    "differences": differences, "similarity": similarity, "detection": detection,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="trials of each cell (verdicts: five times as many)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="the parts to simulate")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.only:
        PARTS[name](options.trials)


if __name__ == "__main__":
    main()
