"""Labels x seeds: what is trained, what is kept, and how alpha is chosen."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vsmooth.data import Dataset, ImageSet
from vsmooth.experiments import compare as module
from vsmooth.experiments.compare import CompareListener, ComparePlan, compare
from vsmooth.experiments.run import run_experiment
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.losses.catalogue import Candidates, parse_candidates, parse_objective
from vsmooth.losses.objective import LabelObjective, Objective
from vsmooth.records.comparison import load_comparison
from vsmooth.records.run import Candidate, RunRecord, write_record
from vsmooth.train import Interrupted, TrainingDivergedError

BASE = RunSpec("toy", "small", epochs=1, batch_size=48)
ROW = {"variant", "key", "objective", "parameter", "num_virtual", "seed"}
ROW |= {"accuracy", "ece", "nll", "brier", "mean_confidence", "train_seconds", "images_per_second"}


def plan(*labels: str, seeds: int = 1) -> ComparePlan:
    return ComparePlan(BASE, tuple(parse_candidates(label) for label in labels), tuple(range(seeds)))


class Heard(CompareListener):
    """What was trained; ``stop_in`` sends SIGTERM in that run's first step."""

    def __init__(self, stop_in: int = -1) -> None:
        self.runs: list[tuple[int, int, str]] = []
        self.steps, self.stop_in = 0, stop_in

    def on_run(self, done: int, total: int, spec: RunSpec) -> None:
        self.runs.append((done, total, spec.folder.rsplit("-", 1)[0]))

    def on_step(self, step: int, total: int, loss: float) -> None:
        self.steps += 1
        if len(self.runs) == self.stop_in + 1 and step == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def summary_of(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "summary.json").read_text())


def validation_nll(run: RunRecord) -> float:
    return run.history[-1].validation["nll"]


def test_rows_and_their_fields(tmp_path: Path, toy_dataset: Dataset) -> None:
    heard = Heard()
    found = compare(
        plan("one-hot", "ls:0.1", "vs:0.3:2", seeds=2), toy_dataset, tmp_path, "vsmooth compare", heard
    )
    summary = summary_of(tmp_path)
    rows = summary["rows"]
    assert all(row.keys() >= ROW for row in rows)
    assert [(row["objective"], row["parameter"], row["num_virtual"], row["seed"]) for row in rows] == [
        (objective, alpha, virtual, seed)
        for seed in (0, 1)
        for objective, alpha, virtual in (("one-hot", None, 0), ("ls:0.1", 0.1, 0), ("vs:0.3:2", 0.3, 2))
    ]
    assert [run[:2] for run in heard.runs] == [(done, 6) for done in range(6)]
    assert heard.runs[3][2] == "one-hot-seed1"  # seeds go round first
    assert [(row["variant"], row["seeds"], row["baseline"]) for row in summary["aggregate"]] == [
        ("one-hot", 2, None),
        ("LS 0.1", 2, "one-hot"),
        ("VS 0.3 V=2", 2, "one-hot"),
    ]
    assert summary["command"] == "vsmooth compare"
    assert summary["classes"] == list(toy_dataset.classes)
    assert summary["environment"]["precision"] == "fp32"
    assert load_comparison(tmp_path).runs == found.runs


def test_seeds_differ_and_labels_share_their_data_order(tmp_path: Path, toy_dataset: Dataset) -> None:
    runs = compare(plan("one-hot", "ls:0", seeds=2), toy_dataset, tmp_path, "").runs
    by_name = {(run.name, run.seed): run.metrics["nll"] for run in runs}
    assert by_name["one-hot", 0] != by_name["one-hot", 1]
    # Label smoothing by nothing is one-hot: the same start and the same batches give the same network.
    assert by_name["one-hot", 0] == pytest.approx(by_name["LS 0", 0], rel=1e-4)


def test_second_call_trains_nothing_and_a_new_label_only_itself(tmp_path: Path, toy_dataset: Dataset) -> None:
    first = compare(plan("one-hot", "vs:0.3"), toy_dataset, tmp_path, "")
    again, more = Heard(), Heard()
    assert compare(plan("one-hot", "vs:0.3"), toy_dataset, tmp_path, "", again).runs == first.runs
    assert (again.steps, len(again.runs)) == (0, 2)
    compare(plan("one-hot", "ls:0.1", "vs:0.3"), toy_dataset, tmp_path, "", more)
    assert more.steps == 3  # 144 images in batches of 48
    assert len(summary_of(tmp_path)["rows"]) == 3


def test_stopped_comparison_keeps_what_is_finished(tmp_path: Path, toy_dataset: Dataset) -> None:
    labels = ("one-hot", "ls:0.1", "vs:0.3")
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        compare(plan(*labels), toy_dataset, tmp_path, "", Heard(stop_in=1))
    assert [row["variant"] for row in summary_of(tmp_path)["rows"]] == ["one-hot"]
    heard = Heard()
    compare(plan(*labels), toy_dataset, tmp_path, "", heard)
    assert heard.steps == 2 + 3  # the rest of the stopped run, and the last one
    assert len(summary_of(tmp_path)["rows"]) == 3
    with pytest.raises(Interrupted):
        compare(plan("one-hot", "ls:0.2"), toy_dataset, tmp_path, "", Heard(stop_in=1))
    assert len(summary_of(tmp_path)["rows"]) == 3  # a summary of more is left alone


def test_failed_run_is_named_and_the_others_are_kept(
    tmp_path: Path, toy_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_or_fail(spec: RunSpec, *rest: Any) -> RunRecord:
        if spec.objective.text == "vs:0.3" and spec.seed == 1:
            raise TrainingDivergedError("the loss is nan at epoch 1, step 2 of 3, learning rate 0.1")
        return run_experiment(spec, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(module, "run_experiment", run_or_fail)
        message = r"^vs:0.3, seed 1: the loss is nan at epoch 1, .*; what finished before \(3\) is kept$"
        with pytest.raises(TrainingDivergedError, match=message):
            compare(plan("one-hot", "vs:0.3", seeds=2), toy_dataset, tmp_path, "")
    heard = Heard()
    compare(plan("one-hot", "vs:0.3", seeds=2), toy_dataset, tmp_path, "", heard)
    assert heard.steps == 3


@pytest.mark.parametrize("kind", ["ls", "vs", "focal"])
def test_an_auto_parameter_has_the_lowest_validation_nll_of_the_first_seed(
    tmp_path: Path, toy_dataset: Dataset, kind: str
) -> None:
    heard, asked = Heard(), parse_candidates(f"{kind}:auto")
    assert isinstance(asked, Candidates)
    found = compare(plan("one-hot", asked.text, seeds=2), toy_dataset, tmp_path, "", heard)
    grid = plan(*(objective.text for objective in asked.objectives()))
    candidates = compare(grid, toy_dataset, tmp_path / "grid", "").runs
    best = min(candidates, key=validation_nll)
    first, second = (run for run in found.runs if run.name != "one-hot")
    assert (first.variant, first.seed) == (best.variant, 0)
    assert (second.variant, second.seed) == (best.variant, 1)
    expected = tuple(
        Candidate(run.name, value, validation_nll(run), run.history[-1].validation["accuracy"])
        for run, value in zip(candidates, asked.grid, strict=True)
    )
    assert first.selected_from == second.selected_from == expected
    assert len(heard.runs) == heard.runs[0][1] == 2 * 2 + len(asked.grid) - 1
    assert load_comparison(tmp_path).runs == found.runs  # the report sees how it was chosen
    lacking = replace(candidates[1].history[-1], validation={"accuracy": 0.5})
    history = (*candidates[1].history[:-1], lacking)
    write_record(replace(candidates[1], history=history), tmp_path / candidates[1].folder)
    with pytest.raises(ValueError, match=r"record\.json has no validation NLL and accuracy of the last"):
        compare(plan(asked.text), toy_dataset, tmp_path, "")


def test_test_split_chooses_nothing(tmp_path: Path, toy_dataset: Dataset) -> None:
    """With test labels that are all wrong the same alpha is chosen, though another would have won there."""
    wrong = (toy_dataset.test.labels + 1) % toy_dataset.num_classes
    poisoned = replace(toy_dataset, test=ImageSet(toy_dataset.test.images, wrong))
    base = replace(BASE, epochs=5, batch_size=16)
    choose = ComparePlan(base, (parse_candidates("ls:auto"),), (0,))
    (clean,) = compare(choose, toy_dataset, tmp_path / "clean", "").runs
    (misled,) = compare(choose, poisoned, tmp_path / "poisoned", "").runs
    assert misled.variant == clean.variant
    assert misled.selected_from == clean.selected_from
    grid = ComparePlan(base, tuple(parse_objective(f"ls:{alpha}") for alpha in LabelObjective.usual), (0,))
    runs = compare(grid, poisoned, tmp_path / "poisoned", "").runs
    assert min(runs, key=lambda run: run.metrics["nll"]).variant != misled.variant


@pytest.mark.parametrize("order", [0, 1])
def test_chosen_alpha_may_also_be_asked_for(tmp_path: Path, toy_dataset: Dataset, order: int) -> None:
    labels = [Candidates(parse_objective("ls:0"), grid=(0.1,)), parse_objective("ls:0.1")]
    both = ComparePlan(BASE, tuple(labels if order else labels[::-1]), (0,))
    (run,) = compare(both, toy_dataset, tmp_path, "").runs
    assert run.selected_from is not None
    assert load_comparison(tmp_path).runs == (run,)
    (run,) = compare(ComparePlan(BASE, (labels[1],), (0,)), toy_dataset, tmp_path, "").runs
    assert run.selected_from is None  # this comparison chose nothing
    assert load_comparison(tmp_path).runs == (run,)


class Told(CompareListener):
    def __init__(self) -> None:
        self.gone: list[tuple[str, ...]] = []

    def on_left_out(self, names: tuple[str, ...]) -> None:
        self.gone.append(names)


def test_rows_that_leave_the_table_are_told(tmp_path: Path, toy_dataset: Dataset) -> None:
    told = Told()
    compare(plan("one-hot", "ls:0.1", seeds=2), toy_dataset, tmp_path, "", told)
    compare(plan("one-hot", "ls:0.1", "vs:0.3", seeds=2), toy_dataset, tmp_path, "", told)
    assert told.gone == []
    compare(plan("one-hot", "vs:0.3"), toy_dataset, tmp_path, "", told)
    assert told.gone == [("one-hot (seed 1)", "LS 0.1 (seeds 0, 1)", "VS 0.3 (seed 1)")]
    compare(plan("one-hot", "vs:0.3"), toy_dataset, tmp_path, "", told)
    assert len(told.gone) == 1  # the table before had none of them either


def test_labels_named_twice(tmp_path: Path, toy_dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="a label is named twice"):
        plan("vs:0.3", "one-hot", "vs:0.30")
    with pytest.raises(
        ValueError, match=r"two of the labels are the same for 4 classes: vs:0.3 and vs:0.3:4"
    ):
        compare(plan("vs:0.3", "vs:0.3:4"), toy_dataset, tmp_path, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("labels", "seeds"), [((), (0,)), ((parse_objective("one-hot"),), ())])
def test_nothing_to_compare(labels: tuple[Objective, ...], seeds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a comparison needs at least one label and one seed"):
        ComparePlan(BASE, labels, seeds)
