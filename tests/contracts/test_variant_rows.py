"""Runs of several methods in one comparison: each variant is a row, and is compared with one-hot of its own method."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from outcome_builders import MadeUp
from record_builders import objective_of, run_record, teacher_of

from vsmooth.data import Dataset, ImageSet
from vsmooth.experiments.compare import CompareListener, Runs
from vsmooth.experiments.run_paths import gather_runs
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.run_spec import CONVERTER, RunSpec, Training
from vsmooth.experiments.specs.spec_file import CLAIM, ClaimedRun
from vsmooth.experiments.specs.standard import StandardTraining
from vsmooth.experiments.variants import variant_of
from vsmooth.losses.catalogue import CATALOGUE
from vsmooth.records.comparison import Comparison, load_comparison, write_summary
from vsmooth.records.objective import ONE_HOT
from vsmooth.records.run import RunRecord, write_record
from vsmooth.records.serialisation import from_plain
from vsmooth.records.variant import MethodRecord, Variant
from vsmooth.report.comparison.findings import claims
from vsmooth.report.comparison.tables import result_table

VS = objective_of("virtual-smoothing", 0.3, 2, 2)
AT, TRADES = MethodRecord("AT", "radius 8, steps 10"), MethodRecord("TRADES 6", "beta 6, radius 8, steps 10")
KD, SEEDS = MethodRecord("KD"), (0, 1, 2)
FIRST, SECOND = (teacher_of(name, name, digest) for name, digest in (("one-hot", "aa"), ("VS 0.3", "bb")))
TAUGHT = {
    Variant(ONE_HOT): 0.80,
    Variant(VS): 0.81,
    Variant(ONE_HOT, KD, teacher=FIRST): 0.85,
    Variant(ONE_HOT, KD, teacher=SECOND): 0.90,
}
ADVERSARIAL = {
    Variant(ONE_HOT, AT): 0.50,
    Variant(VS, AT): 0.54,
    Variant(ONE_HOT, TRADES): 0.40,
    Variant(VS, TRADES): 0.41,
}
# Accuracy of each variant, the name of its row, and what it gains over its baseline; None for a baseline.
CASES = {
    "taught": (TAUGHT, ("plain", "VS 0.3", "KD from one-hot", "KD from VS 0.3"), (None, 0.01, 0.05, 0.10)),
    "adversarial": (
        ADVERSARIAL, ("AT + one-hot", "AT + VS 0.3", "TRADES 6 + one-hot", "TRADES 6 + VS 0.3"),
        (None, 0.04, None, 0.01),
    ),
}  # fmt: skip
each_case = pytest.mark.parametrize("case", CASES)


def spec_of(variant: Variant, seed: int) -> RunSpec:
    """A spec of its own for each variant; of what it says only the folder matters here."""
    return RunSpec("toy", "small", seed=seed, split_seed=int(variant.key, 16))


def runs_of(accuracies: dict[Variant, float]) -> tuple[RunRecord, ...]:
    """Three seeds that differ a little, in the order in which seeds go round first."""
    empty = run_record("one-hot", 0.0, 0, 0, "toy", "small", 0, 1, 2, {}, 1.0, 1.0, (), "")
    return tuple(
        replace(
            empty,
            variant=variant,
            seed=seed,
            metrics={"accuracy": accuracy + 0.001 * (seed + (seed * place) % 2)},
            folder=spec_of(variant, seed).folder,
        )
        for seed in SEEDS
        for place, (variant, accuracy) in enumerate(accuracies.items())
    )


@each_case
def test_rows_are_never_averaged_and_have_the_baseline_of_their_method(case: str) -> None:
    accuracies, names, gains = CASES[case]
    comparison = MadeUp(runs_of(accuracies), "", {}, ("a", "b"))
    assert tuple(group.name for group in comparison.groups) == names
    assert [[run.seed for run in group.runs] for group in comparison.groups] == [[0, 1, 2]] * 4
    for group, accuracy, gain in zip(comparison.groups, accuracies.values(), gains, strict=True):
        summary, found = group.summary("accuracy"), comparison.differences.from_baseline(group, "accuracy")
        assert summary is not None
        assert summary.mean == pytest.approx(accuracy, abs=0.003)
        assert (found is None) == (gain is None)
        if found is not None:
            assert found.mean == pytest.approx(gain, abs=0.002)


@each_case
def test_table_and_summary_have_a_row_for_each(case: str, tmp_path: Path) -> None:
    accuracies, names, gains = CASES[case]
    comparison = MadeUp(runs_of(accuracies), "", {}, ("a", "b"))
    assert tuple(row[0].text for row in result_table(comparison).rows) == names
    summary = json.loads(write_summary(comparison, tmp_path).read_text())
    assert len(summary["rows"]) == 12
    assert [row["seeds"] for row in summary["aggregate"]] == [3] * 4
    differences = [row["difference_from_baseline"] for row in summary["aggregate"]]
    assert [found is None for found in differences] == [gain is None for gain in gains]
    if case == "adversarial":
        baselines = [row["baseline"] for row in summary["aggregate"]]
        assert baselines == [None, "AT + one-hot", None, "TRADES 6 + one-hot"]


def test_claims_are_of_each_methods_own_difference() -> None:
    found = claims(MadeUp(runs_of(ADVERSARIAL), "", {}, ("a", "b")))
    accurate = {claim.label: claim for claim in found if "accurate" in claim.text}
    assert accurate["AT + VS 0.3"].evidence.startswith("+4.0")
    assert accurate["TRADES 6 + VS 0.3"].evidence.startswith("+1.0")


def write_run(run: RunRecord, directory: Path) -> Path:
    """A run folder of which a comparison reads the record and what it was trained on."""
    folder = directory / run.folder
    folder.mkdir(parents=True)
    CLAIM.write(ClaimedRun(spec_of(run.variant, run.seed), "0", (1, 2, 2)), folder)
    write_record(run, folder)
    return folder


@each_case
def test_none_is_dropped_as_a_duplicate(case: str, tmp_path: Path) -> None:
    """Neither while runs are kept, nor read back from the summary, nor gathered from their folders."""
    runs = runs_of(CASES[case][0])
    split = ImageSet(torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.arange(2))
    kept = Runs(Dataset("toy", ("a", "b"), split, split), tmp_path, "", 12, CompareListener())
    kept.kept.extend((*runs, *runs))  # each was asked for twice
    assert kept.comparison().runs == runs
    for run in runs:
        write_run(run, tmp_path)
    gathered = gather_runs([tmp_path])
    assert {run.variant for run in gathered.runs} == set(CASES[case][0])
    write_summary(Comparison(runs, "", {}, ("a", "b"), tmp_path), tmp_path)
    assert load_comparison(tmp_path).runs == runs
    twin = write_run(runs[1], tmp_path / "again")
    with pytest.raises(ValueError, match="with the same seed; leave one of them out"):
        gather_runs([*(tmp_path / run.folder for run in runs), twin])


@pytest.mark.parametrize("method", [StandardTraining(), Distillation("aa", gamma=0.5)], ids=["standard", "taught"])
def test_every_objective_is_a_row_of_its_own_with_the_right_baseline(method: Training) -> None:
    """One-hot in standard training; a taught student is compared with the same objective without a teacher."""
    base, teacher = RunSpec("toy", "small", method=method), FIRST if method.teacher else None
    specs = [base.with_objective(entry.template()) for entry in CATALOGUE.values()]
    variants = [variant_of(spec, 4, teacher) for spec in specs]
    assert len({variant.name for variant in variants}) == len({variant.key for variant in variants}) == len(CATALOGUE)
    for spec, variant in zip(specs, variants, strict=True):
        own = ONE_HOT if teacher is None else variant.objective
        assert variant.baseline == Variant(own)
        again = from_plain(RunSpec, json.loads(json.dumps(spec.to_json())), CONVERTER)
        assert (again, again.folder) == (spec, spec.folder)


def test_variants_of_one_short_name_are_told_apart() -> None:
    """Settings that the short name leaves out make another variant."""
    other = replace(TRADES, settings="beta 6, radius 4, steps 10")
    accuracies = {**ADVERSARIAL, Variant(ONE_HOT, other): 0.60, Variant(VS, other): 0.65}
    comparison = MadeUp(runs_of(accuracies), "", {}, ("a", "b"))
    assert [comparison.groups[place].name for place in (3, 5)] == [
        "TRADES 6 + VS 0.3 (beta 6, radius 8, steps 10)", "TRADES 6 + VS 0.3 (beta 6, radius 4, steps 10)"
    ]
    found = [comparison.differences.from_baseline(comparison.groups[place], "accuracy") for place in (3, 5)]
    assert [one and one.mean for one in found] == pytest.approx([0.01, 0.05], abs=0.002)
