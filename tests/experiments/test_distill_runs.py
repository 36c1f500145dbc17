"""Students of several teachers: what is trained, what the records say, and which teachers are refused."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import rel_entr, softmax
from teacher_builders import BASE, Teachers, save_logits, train_teachers

from vsmooth.data import Dataset, Mixing
from vsmooth.experiments.compare import CompareListener
from vsmooth.experiments.run import evaluate_run, run_experiment
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.teaching.distill import DistillPlan, distill
from vsmooth.experiments.teaching.lesson import TeacherSource
from vsmooth.experiments.teaching.sources import open_teacher, open_teachers
from vsmooth.losses import Divergence
from vsmooth.losses.catalogue import parse_objective
from vsmooth.records.comparison import Comparison, load_comparison
from vsmooth.records.run import read_record
from vsmooth.train import Interrupted


@pytest.fixture(scope="module")
def teachers(toy_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Teachers:
    return train_teachers(toy_dataset, tmp_path_factory.mktemp("teachers"))


def make_plan(teachers: Teachers, dataset: Dataset, *names: str, seeds: int = 1, **how: Any) -> DistillPlan:
    sources = open_teachers([str(teachers[name]) for name in names], dataset)
    return DistillPlan(BASE, sources, tuple(range(seeds)), Distillation("", **how))


@pytest.fixture(scope="module")
def distilled(
    teachers: Teachers, toy_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Comparison, Path]:
    """Plain, one-hot teacher, VS teacher; two seeds."""
    folder = tmp_path_factory.mktemp("distilled")
    plan = make_plan(teachers, toy_dataset, "one-hot", "VS 0.3", seeds=2)
    return distill(plan, toy_dataset, folder, "vsmooth distill"), folder


def predictions_of(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    arrays = np.load(folder / "predictions-test.npz")
    return arrays["logits"].astype(np.float64), arrays["labels"]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_groups_and_records(distilled: tuple[Comparison, Path], teachers: Teachers) -> None:
    comparison, folder = distilled
    assert [(group.name, len(group.runs)) for group in comparison.groups] == [
        ("plain", 2),
        ("KD from one-hot", 2),
        ("KD from VS 0.3", 2),
    ]
    assert [run.seed for run in comparison.runs] == [0, 0, 0, 1, 1, 1]  # seeds go round first
    taught = comparison.groups[2].runs[0]
    assert taught.teacher is not None
    assert (taught.teacher.objective.text, taught.teacher.model) == ("vs:0.3", "small")
    assert taught.teacher.origin == str(teachers["VS 0.3"])
    assert read_record(folder / taught.folder) == taught
    assert taught.folder.startswith("kd-one-hot-seed0-")
    assert comparison.groups[0].runs[0].teacher is None
    assert load_comparison(folder).runs == comparison.runs


@pytest.mark.parametrize("name", ["one-hot", "VS 0.3"])
def test_teacher_accuracy_agreement_and_fidelity(
    distilled: tuple[Comparison, Path], teachers: Teachers, name: str
) -> None:
    """From the prediction files of the teacher's run and the student's."""
    comparison, folder = distilled
    teacher, labels = predictions_of(teachers[name])
    group = next(group for group in comparison.groups if group.name == f"KD from {name}")
    for run in group.runs:
        student, _ = predictions_of(folder / run.folder)
        p, q = softmax(teacher, axis=1), softmax(student, axis=1)
        assert run.metrics["teacher_divergence"] == pytest.approx(rel_entr(p, q).sum(1).mean(), rel=1e-4)
        assert run.metrics["teacher_agreement"] == pytest.approx((p.argmax(1) == q.argmax(1)).mean())
        assert run.metrics["teacher_accuracy"] == pytest.approx((p.argmax(1) == labels).mean())
        assert run.metrics["teacher_accuracy"] == read_record(teachers[name]).metrics["accuracy"]


def test_differences_are_paired_with_the_student_without_a_teacher(distilled: tuple[Comparison, Path]) -> None:
    comparison, folder = distilled
    plain, taught = comparison.groups[0], comparison.groups[2]
    assert comparison.baselines == (plain,)
    assert comparison.baseline_name == "no teacher"
    assert comparison.differences.from_baseline(plain, "accuracy") is None
    found = comparison.differences.from_baseline(taught, "accuracy")
    expected = np.subtract(*([run.metrics["accuracy"] for run in group.runs] for group in (taught, plain)))
    assert found is not None
    assert found.mean == pytest.approx(expected.mean())
    half = 12.7062 * expected.std(ddof=1) / np.sqrt(2)  # Student's t of one degree of freedom
    assert found.low == pytest.approx(expected.mean() - half, abs=1e-5)
    summary = json.loads((folder / "summary.json").read_text())
    first, _, third = summary["aggregate"]
    assert third["teacher"] == "VS 0.3"
    assert third["difference_from_baseline"]["accuracy"]["mean"] == pytest.approx(expected.mean())
    for metric in ("teacher_accuracy", "teacher_agreement", "teacher_divergence"):
        values = [run.metrics[metric] for run in taught.runs]
        assert third[metric]["mean"] == pytest.approx(np.mean(values))
        assert first[metric] is None
    assert summary["rows"][2]["teacher"] == "VS 0.3"
    assert "teacher" not in summary["rows"][0]


def test_second_call_trains_nothing_and_a_new_teacher_only_its_students(
    distilled: tuple[Comparison, Path], teachers: Teachers, toy_dataset: Dataset
) -> None:
    comparison, folder = distilled
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/model.safetensors")}
    plan = make_plan(teachers, toy_dataset, "one-hot", "VS 0.3", "LS 0.3", seeds=1)
    found = distill(plan, toy_dataset, folder, "again")
    names = [group.name for group in found.groups]
    assert names == ["plain", "KD from one-hot", "KD from VS 0.3", "KD from LS 0.3"]
    assert found.runs[:3] == comparison.runs[:3]
    after = {path: path.stat().st_mtime_ns for path in folder.glob("*/model.safetensors")}
    assert len(after) == len(before) + 1
    assert after.items() >= before.items()
    evaluate_run(folder / found.runs[2].folder, toy_dataset)
    assert read_record(folder / found.runs[2].folder) == found.runs[2]  # the teacher's numbers are kept


def test_plain_student_is_the_one_of_a_comparison(
    distilled: tuple[Comparison, Path], toy_dataset: Dataset, tmp_path: Path
) -> None:
    comparison, folder = distilled
    plain = comparison.groups[0].runs[0]
    alone = run_experiment(replace(BASE, seed=0), toy_dataset, tmp_path)
    assert alone.folder == plain.folder
    ours, theirs = weights_of(tmp_path / alone.folder), weights_of(folder / plain.folder)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_gamma_0_is_the_plain_student(
    distilled: tuple[Comparison, Path], teachers: Teachers, toy_dataset: Dataset, tmp_path: Path
) -> None:
    comparison, folder = distilled
    found = distill(make_plan(teachers, toy_dataset, "VS 0.3", gamma=0.0), toy_dataset, tmp_path, "")
    ours = weights_of(tmp_path / found.runs[1].folder)
    theirs = weights_of(folder / comparison.runs[0].folder)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_stopped_distillation_goes_on(teachers: Teachers, toy_dataset: Dataset, tmp_path: Path) -> None:
    class Stopping(CompareListener):
        steps = 0

        def on_step(self, step: int, total: int, loss: float) -> None:
            self.steps += 1
            if self.steps == 8:  # the plain student takes 6 steps
                os.kill(os.getpid(), signal.SIGTERM)

    plan = make_plan(teachers, toy_dataset, "one-hot", "VS 0.3", views=2)
    with pytest.raises(Interrupted):
        distill(plan, toy_dataset, tmp_path / "stopped", "", Stopping())
    summary = json.loads((tmp_path / "stopped" / "summary.json").read_text())
    assert [row["objective"] for row in summary["rows"]] == ["one-hot"]
    found = distill(plan, toy_dataset, tmp_path / "stopped", "").runs
    whole = distill(plan, toy_dataset, tmp_path / "whole", "").runs
    for one, other in zip(found, whole, strict=True):
        ours, theirs = weights_of(tmp_path / "stopped" / one.folder), weights_of(tmp_path / "whole" / other.folder)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert one.metrics == other.metrics


def test_cached_teacher_gives_the_same_training(
    distilled: tuple[Comparison, Path], teachers: Teachers, toy_dataset: Dataset, tmp_path: Path
) -> None:
    """Without augmentation every view is the image, so a live and a cached teacher say the same."""
    comparison, _ = distilled
    found = distill(make_plan(teachers, toy_dataset, "VS 0.3", views=2), toy_dataset, tmp_path, "")
    live, cached = comparison.groups[2].runs[0], found.runs[1]
    for ours, theirs in zip(cached.history, live.history, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-3)
    assert cached.metrics["nll"] == pytest.approx(live.metrics["nll"], rel=1e-2)
    (cache,) = (tmp_path / "teacher-cache").iterdir()
    assert {path.name for path in cache.iterdir()} == {
        "cache.json", *(f"view-{view}.safetensors{end}" for view in range(2) for end in ("", ".sha256"))
    }
    stamps = {path: path.stat().st_mtime_ns for path in cache.iterdir() if path.name != "cache.json"}
    again = distill(make_plan(teachers, toy_dataset, "VS 0.3", views=2, gamma=0.5), toy_dataset, tmp_path, "")
    assert len(again.runs) == 2
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}  # another gamma, the same logits
    distill(make_plan(teachers, toy_dataset, "VS 0.3", views=2, top_k=2), toy_dataset, tmp_path, "")
    assert len(list((tmp_path / "teacher-cache").iterdir())) == 2


def test_all_logits_of_a_teacher_with_the_same_v(teachers: Teachers, toy_dataset: Dataset, tmp_path: Path) -> None:
    plan = make_plan(teachers, toy_dataset, "VS 0.3", logits="all", divergence=Divergence(tau=4.0))
    wide = replace(plan, base=replace(BASE, objective=parse_objective("vs:0.1")))
    groups = distill(wide, toy_dataset, tmp_path, "").groups
    assert [group.name for group in groups] == ["plain, VS 0.1", "KD from VS 0.3 + VS 0.1"]
    with pytest.raises(ValueError, match=r"VS 0.3 teaches 8 logits and the student has 4: .* --label vs:ALPHA:4"):
        distill(plan, toy_dataset, tmp_path / "narrow", "")
    with pytest.raises(ValueError, match="one-hot has no virtual classes: teach its real logits"):
        distill(make_plan(teachers, toy_dataset, "one-hot", logits="all"), toy_dataset, tmp_path / "narrow", "")
    assert not (tmp_path / "narrow").exists()


def test_teachers_files_stay_as_they_were(distilled: tuple[Comparison, Path], teachers: Teachers) -> None:
    for folder in teachers.values():
        assert {path.name for path in folder.iterdir()} == {
            *("spec.json", "record.json", "model.safetensors", "predictions-test.npz", "predictions-validation.npz")
        }


def test_saved_logits_teach(toy_dataset: Dataset, tmp_path: Path) -> None:
    source = open_teacher(str(save_logits(tmp_path / "oracle.npz", toy_dataset)), toy_dataset)
    flat = replace(BASE, augmentation=replace(BASE.augmentation, flip=True))
    plan = DistillPlan(flat, (source,), (0,), Distillation("", gamma=0.5))
    assert plan.spec(source, 0).method == Distillation(source.record.fingerprint, gamma=0.5, views=flat.epochs)
    found = distill(plan, toy_dataset, tmp_path / "out", "").runs[1]
    assert found.name == "KD from oracle"
    assert found.metrics["teacher_accuracy"] > 0.95
    assert not (tmp_path / "out" / "teacher-cache").exists()
    bare = tmp_path / "bare.npz"
    np.savez(bare, **{name: value for name, value in np.load(tmp_path / "oracle.npz").items() if name != "test_logits"})
    plan = DistillPlan(BASE, (open_teacher(str(bare), toy_dataset),), (0,))
    (_, found) = distill(plan, toy_dataset, tmp_path / "out", "").runs
    assert "teacher_accuracy" not in found.metrics  # nobody knows


def test_poor_teacher_is_told(toy_dataset: Dataset, tmp_path: Path) -> None:
    class Heard(CompareListener):
        messages: list[str] = []  # noqa: RUF012

        def on_message(self, text: str) -> None:
            self.messages.append(text)

    wrong = torch.nn.functional.one_hot((toy_dataset.test.labels + 1) % 4, 4).double().numpy()
    path = save_logits(tmp_path / "turned.npz", toy_dataset, test_logits=wrong)
    plan = DistillPlan(BASE, (open_teacher(str(path), toy_dataset),), (0,))
    distill(plan, toy_dataset, tmp_path / "out", "", Heard())
    assert "turned is right on 0.0 % of the test images only: does it know these classes" in Heard.messages[0]


def test_run_and_teacher_go_together(teachers: Teachers, toy_dataset: Dataset, tmp_path: Path) -> None:
    one, other = open_teachers([str(teachers[name]) for name in ("one-hot", "VS 0.3")], toy_dataset)
    spec = DistillPlan(BASE, (one,), (0,)).spec(one, 0)
    for given, trained in ((None, spec), (one, BASE)):
        with pytest.raises(ValueError, match="a teacher and a spec with distillation go together"):
            run_experiment(trained, toy_dataset, tmp_path, teacher=given)
    with pytest.raises(ValueError, match="the run's teacher has another fingerprint than"):
        run_experiment(spec, toy_dataset, tmp_path, teacher=other)
    assert not list(tmp_path.glob("*/spec.json"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"gamma": 1.5}, r"gamma, the weight of the teacher's divergence .* got 1.5"),
        ({"logits": "virtual"}, "must be one of real, all, got 'virtual'"),
        ({"views": 0}, "views that a teacher's cache holds must be at least 1, got 0"),
        ({"top_k": 3}, "top_k=3 says what a cache keeps: give the number of its views too"),
        ({"views": 2, "top_k": 0}, "top_k must be at least 1"),
    ],
)
def test_impossible_distillations(how: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distillation("abc", **how)


def test_mixing_has_nothing_to_cache() -> None:
    for how, message in (
        (Distillation("abc", views=2), "MixUp and CutMix show other images in every epoch"),
        (Distillation("abc", divergence=Divergence("decoupled")), "no meaning for the mixed labels"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(BASE, mixing=Mixing(mixup=0.8), method=how)
    replace(BASE, mixing=Mixing(mixup=0.8), method=Distillation("abc"))


def test_plan_needs_teachers_and_seeds(teachers: Teachers, toy_dataset: Dataset) -> None:
    source: TeacherSource = open_teacher(str(teachers["one-hot"]), toy_dataset)
    for sources, seeds in (((), (0,)), ((source,), ())):
        with pytest.raises(ValueError, match="at least one teacher and one seed"):
            DistillPlan(BASE, sources, seeds)
    with pytest.raises(ValueError, match="has no teacher of its own"):
        DistillPlan(replace(BASE, method=Distillation("abc")), (source,), (0,))
