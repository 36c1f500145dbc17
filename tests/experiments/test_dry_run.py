"""A dry run against the run that it stands for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from teacher_builders import BASE, save_logits, train_teachers

from vsmooth.data import Dataset, load_dataset
from vsmooth.experiments.build import build_network, training_splits
from vsmooth.experiments.dry_run import dry_run
from vsmooth.experiments.run import run_experiment
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.teaching.sources import open_teacher
from vsmooth.labels import OneHot
from vsmooth.losses.catalogue import parse_objective
from vsmooth.losses.objective import LabelObjective
from vsmooth.train import Execution, Optimization, TrainingDivergedError

SPEC = RunSpec(
    "toy",
    "small",
    parse_objective("vs:0.3:6"),
    epochs=3,
    batch_size=36,
    optimization=Optimization(schedule="step", milestones=(1 / 3, 2 / 3)),
)


def parameters(spec: RunSpec, dataset: Dataset) -> int:
    return sum(p.numel() for p in build_network(spec, dataset).parameters())


def test_sizes_are_those_of_the_run(toy_dataset: Dataset, tmp_path: Path) -> None:
    found = dry_run(SPEC, toy_dataset)
    record = run_experiment(SPEC, toy_dataset, tmp_path)
    assert found.parameters == record.parameters
    assert (found.train_images, found.validation_images) == tuple(map(len, training_splits(SPEC, toy_dataset)))
    assert found.steps_per_epoch == 4  # 144 images
    assert found.optimizer_steps == 12
    assert found.timed_steps == 10
    assert found.processes == 1


def test_virtual_parameters_are_what_one_hot_lacks(toy_dataset: Dataset) -> None:
    one_hot = SPEC.with_objective(LabelObjective(OneHot()))
    found = dry_run(SPEC, toy_dataset)
    assert found.virtual_parameters == parameters(SPEC, toy_dataset) - parameters(one_hot, toy_dataset) > 0
    assert dry_run(one_hot, toy_dataset).virtual_parameters == 0


def test_learning_rates_are_those_of_the_schedule(toy_dataset: Dataset) -> None:
    found = dry_run(SPEC, toy_dataset)
    assert found.learning_rates == pytest.approx([0.1] * 4 + [0.01] * 4 + [0.001] * 4)
    long = dry_run(replace(SPEC, epochs=300), toy_dataset)
    assert len(long.learning_rates) == 240
    assert (long.learning_rates[0], long.learning_rates[-1]) == pytest.approx((0.1, 0.001))
    assert sum(rate > 0.05 for rate in long.learning_rates) == 80


def test_accumulated_batches_are_one_step(toy_dataset: Dataset) -> None:
    found = dry_run(replace(SPEC, optimization=Optimization(accumulate=5)), toy_dataset)
    assert (found.steps_per_epoch, found.optimizer_steps) == (4, 2)
    assert len(found.learning_rates) == 2


def test_times_grow_with_the_training(toy_dataset: Dataset) -> None:
    found = dry_run(SPEC, toy_dataset)
    assert found.train_seconds == pytest.approx(found.timed_seconds / 10 * 12)
    assert found.seconds == found.train_seconds + found.evaluation_seconds
    assert found.evaluation_seconds > 0
    assert found.decoding_seconds == 0
    assert not found.waits_for_data


def test_a_teacher_takes_its_part_of_each_step_or_of_each_view(toy_dataset: Dataset, tmp_path: Path) -> None:
    """144 images: 3 steps of 48 an epoch, 10 epochs."""
    network = open_teacher(str(train_teachers(toy_dataset, tmp_path)["one-hot"]), toy_dataset)
    saved = open_teacher(str(save_logits(tmp_path / "saved.npz", toy_dataset)), toy_dataset)
    files = sorted(tmp_path.rglob("*"))
    for source, gamma, views, kept in (
        (network, 1.0, None, None),
        (network, 1.0, 2, 2),
        (network, 0.0, 2, None),
        (saved, 1.0, 10, None),
    ):
        how = Distillation(source.record.fingerprint, gamma, views=views)
        found = dry_run(replace(BASE, epochs=10, method=how), toy_dataset, teacher=source)
        step, teacher = found.timed_seconds / found.timed_steps, found.teacher_seconds
        expected = 30 * step if kept is None else 30 * (step - teacher) + kept * 3 * teacher
        assert found.kept_views == kept
        assert found.train_seconds == pytest.approx(expected)
        assert teacher > 0
    assert sorted(tmp_path.rglob("*")) == files
    assert dry_run(BASE, toy_dataset).teacher_seconds == 0
    with pytest.raises(ValueError, match="a teacher and a spec with distillation go together"):
        dry_run(BASE, toy_dataset, teacher=network)


def test_streamed_images_are_timed_without_training_too(toy_folder: Path) -> None:
    dataset = load_dataset(str(toy_folder), image_size=8)
    found = dry_run(SPEC, dataset, Execution(workers=1))
    assert found.decoding_seconds > 0
    assert found.train_seconds == pytest.approx(max(found.timed_seconds / 10, found.decoding_seconds) * 12)
    assert found.waits_for_data == (found.decoding_seconds > found.timed_seconds / 10)
    assert dry_run(SPEC, dataset, Execution(workers=0)).decoding_seconds == 0  # the steps include it


def test_memory_is_no_less_than_what_the_process_holds(toy_dataset: Dataset) -> None:
    psutil = pytest.importorskip("psutil")
    held = psutil.Process().memory_info().rss
    found = dry_run(SPEC, toy_dataset)
    assert found.memory_bytes is not None
    assert 0.9 * held <= found.memory_bytes < 100 * held  # the kernel counts the peak now and then
    assert "peak of the whole process" in found.memory


def test_nothing_is_written(toy_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dry_run(SPEC, toy_dataset, Execution(keep_checkpoints=1))
    assert not list(tmp_path.iterdir())


def test_a_dry_run_leaves_the_run_as_it_was(toy_dataset: Dataset, tmp_path: Path) -> None:
    before = run_experiment(SPEC, toy_dataset, tmp_path / "before")
    dry_run(SPEC, toy_dataset)
    after = run_experiment(SPEC, toy_dataset, tmp_path / "after")
    assert before.metrics == after.metrics


def test_divergence_within_the_first_steps_is_reported(toy_dataset: Dataset) -> None:
    wild = replace(SPEC, optimization=Optimization(learning_rate=1000, weight_decay=100, schedule="constant"))
    with pytest.raises(TrainingDivergedError, match="learning rate 1000"):
        dry_run(wild, toy_dataset)


def test_missing_tracker_is_reported(toy_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install mlflow"):
        dry_run(SPEC, toy_dataset, Execution(track="mlflow"))


def test_gradient_checkpointing_is_built(toy_dataset: Dataset) -> None:
    spec = replace(SPEC, model="resnet20")
    plain, checkpointed = (
        dry_run(spec, toy_dataset, Execution(gradient_checkpointing=flag)) for flag in (False, True)
    )
    assert plain.parameters == checkpointed.parameters
    assert torch.is_grad_enabled()
