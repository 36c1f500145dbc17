"""One run and its folder: made once, read back, resumed, and refused where it belongs to something else."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from vsmooth.data import Dataset, ImageSet
from vsmooth.evaluate import Predictions, evaluate_clean
from vsmooth.experiments import load_run, results
from vsmooth.experiments.build import training_splits
from vsmooth.experiments.run import evaluate_run, read_spec, run_experiment
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.head import remove_virtual_classes
from vsmooth.losses import parse_objective
from vsmooth.train import CheckpointError, Execution, Interrupted, Listener, Optimization, read_weights

SPEC = RunSpec("toy", "small", parse_objective("vs:0.2"), epochs=2, batch_size=32)
FILES = {
    "spec.json",
    "record.json",
    "model.safetensors",
    "predictions-test.npz",
    "predictions-validation.npz",
}


class Steps(Listener):
    """Counts steps; ``stop_at`` sends SIGTERM."""

    def __init__(self, stop_at: int = -1) -> None:
        self.count, self.stop_at = 0, stop_at
        self.messages: list[str] = []

    def on_step(self, step: int, total: int, loss: float) -> None:
        self.count += 1
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_dataset: Dataset) -> Path:
    root = tmp_path_factory.mktemp("finished")
    run_experiment(SPEC, toy_dataset, root)
    return root / SPEC.folder


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be spoilt."""
    return shutil.copytree(finished, tmp_path / SPEC.folder)


def other_images(dataset: Dataset) -> Dataset:
    images = dataset.test.images.clone()
    images[0, 0, 0, 0] ^= 1
    return replace(dataset, test=ImageSet(images, dataset.test.labels))


def test_folder_and_record(finished: Path, toy_dataset: Dataset) -> None:
    assert {path.name for path in finished.iterdir()} == FILES
    record = json.loads((finished / "record.json").read_text())
    objective = record["variant"]["objective"]
    assert (objective["kind"], objective["parameter"], objective["num_virtual"]) == ("virtual-smoothing", 0.2, 4)
    assert (record["folder"], record["epochs"], record["num_classes"]) == (SPEC.folder, 2, 4)
    assert [epoch["epoch"] for epoch in record["history"]] == [1, 2]
    assert record["metrics"]["samples"] == 80
    assert "top5" not in record["metrics"]  # four classes
    assert read_spec(finished) == SPEC
    spec = json.loads((finished / "spec.json").read_text())
    assert spec["data_fingerprint"] == toy_dataset.fingerprint
    assert spec["image_shape"] == [1, 8, 8]


def test_record_says_what_the_weights_predict(finished: Path, toy_dataset: Dataset) -> None:
    record = json.loads((finished / "record.json").read_text())
    model = load_run(finished)
    with torch.no_grad():
        logits = model(toy_dataset.test.images / 255)
    saved = Predictions.load(finished / "predictions-test.npz")
    assert logits.shape == (80, 4)  # K real classes, not K + V
    torch.testing.assert_close(saved.logits, logits, rtol=1e-4, atol=1e-4)
    assert torch.equal(saved.labels, toy_dataset.test.labels)
    assert record["metrics"]["nll"] == evaluate_clean(saved).nll
    assert record["parameters"] == sum(p.numel() for p in model.parameters())


def enlarged(split: ImageSet) -> ImageSet:
    return ImageSet(split.images.repeat_interleave(4, 2).repeat_interleave(4, 3), split.labels)


@pytest.mark.parametrize("network", ["small", "timm:test_vit"])  # a ViT has a position embedding for its image size
def test_a_network_is_loaded_from_its_folder_alone(network: str, tmp_path: Path, toy_dataset: Dataset) -> None:
    spec = replace(SPEC, model=network, epochs=1)
    dataset = replace(toy_dataset, train=enlarged(toy_dataset.train), test=enlarged(toy_dataset.test))
    run_experiment(spec, dataset, tmp_path)
    model = load_run(str(tmp_path / spec.folder))
    assert not any(module.training for module in model.modules())
    images = dataset.test.images / 255
    with torch.no_grad():
        logits = model(images)
    saved = Predictions.load(tmp_path / spec.folder / "predictions-test.npz").logits
    assert logits.shape == (80, 4)
    torch.testing.assert_close(saved, logits, rtol=1e-4, atol=1e-4)
    assert model.train()(images[:2]).shape == (2, 8)
    assert remove_virtual_classes(model)(images[:2]).shape == (2, 4)


@pytest.mark.parametrize("shape", [None, [8, 8], [1, 8, 0], [1, 8, "8"], "1x8x8", [1, 8, True]])
def test_a_folder_without_the_images_shape(run_folder: Path, shape: object) -> None:
    stored = json.loads((run_folder / "spec.json").read_text())
    (run_folder / "spec.json").write_text(json.dumps({**stored, "image_shape": shape}))
    message = r"spec\.json is damaged: image_shape(\[\d\])?: expected .*; delete its folder and train again"
    with pytest.raises(ValueError, match=message):
        load_run(run_folder)


def test_validation_predictions_are_of_the_held_out_images(finished: Path, toy_dataset: Dataset) -> None:
    train, validation = training_splits(SPEC, toy_dataset)
    assert (len(train), len(validation)) == (144, 16)
    saved = Predictions.load(finished / "predictions-validation.npz")
    assert torch.equal(saved.labels, validation.labels)
    record = json.loads((finished / "record.json").read_text())
    assert record["history"][-1]["validation"]["nll"] == pytest.approx(evaluate_clean(saved).nll, rel=1e-5)


def test_finished_run_is_read_back(run_folder: Path, toy_dataset: Dataset) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in run_folder.iterdir()}
    steps = Steps()
    record = run_experiment(SPEC, toy_dataset, run_folder.parent, steps)
    assert steps.count == 0
    assert record.metrics["samples"] == 80
    assert {path.name: path.stat().st_mtime_ns for path in run_folder.iterdir()} == before


def test_interrupted_run_is_resumed_to_the_same_bits(
    finished: Path, tmp_path: Path, toy_dataset: Dataset
) -> None:
    with pytest.raises(Interrupted):
        run_experiment(SPEC, toy_dataset, tmp_path, Steps(stop_at=3))
    assert {path.name for path in (tmp_path / SPEC.folder).iterdir()} == {"spec.json", "checkpoints"}
    steps = Steps()
    run_experiment(SPEC, toy_dataset, tmp_path, steps)
    assert steps.messages == ["resuming at epoch 1, step 4"]
    assert steps.count == 5
    expected, found = (
        read_weights(root / "model.safetensors") for root in (finished, tmp_path / SPEC.folder)
    )
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("last_words", ["save_weights", "write_record", "Predictions.save"])
def test_run_killed_while_its_results_are_written(
    finished: Path, tmp_path: Path, toy_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, last_words: str
) -> None:
    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"vsmooth.experiments.results.{last_words}", die)
        with pytest.raises(Killed):
            run_experiment(SPEC, toy_dataset, tmp_path)
    record = run_experiment(SPEC, toy_dataset, tmp_path)
    assert record.metrics == json.loads((finished / "record.json").read_text())["metrics"]
    assert {path.name for path in (tmp_path / SPEC.folder).iterdir()} == FILES


def test_run_killed_before_its_checkpoints_are_removed(run_folder: Path, toy_dataset: Dataset) -> None:
    (run_folder / "checkpoints" / "step-00000008").mkdir(parents=True)
    steps = Steps()
    run_experiment(SPEC, toy_dataset, run_folder.parent, steps)
    assert steps.count == 0
    assert {path.name for path in run_folder.iterdir()} == FILES


def test_full_disk_while_results_are_written(
    tmp_path: Path, toy_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results, "save_weights", fail)
    with pytest.raises(
        CheckpointError,
        match=r"cannot write the results in .*No space left on device; .*checkpoints are kept",
    ):
        run_experiment(SPEC, toy_dataset, tmp_path)


def test_run_of_another_experiment(run_folder: Path, toy_dataset: Dataset) -> None:
    other = replace(SPEC, epochs=3)
    run_folder.rename(run_folder.parent / other.folder)
    with pytest.raises(
        ValueError, match=r"is a run of another experiment \(see its spec.json\); choose another --out"
    ):
        run_experiment(other, toy_dataset, run_folder.parent)


def test_changed_data(run_folder: Path, toy_dataset: Dataset) -> None:
    message = "was trained on other images than toy has now; "
    with pytest.raises(ValueError, match=f"{message}the data behind 'toy' changed since: choose another --out"):
        run_experiment(SPEC, other_images(toy_dataset), run_folder.parent)
    with pytest.raises(ValueError, match=f"{message}give --data with those behind 'toy', as they were then"):
        evaluate_run(run_folder, other_images(toy_dataset))


def test_output_folder_that_cannot_be_written(tmp_path: Path, toy_dataset: Dataset) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(
        ValueError, match=r"cannot write to the output folder .*out.*: (Not a directory|File exists)$"
    ):
        run_experiment(SPEC, toy_dataset, tmp_path / "out")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(SPEC, model="smal"), r"unknown model 'smal'; did you mean small"),
        (replace(SPEC, batch_size=1000), "batch_size 1000 is larger than the split of 144 images"),
        (replace(SPEC, train_limit=1000), "can keep 2 to 160 train images, not 1000"),
    ],
)
def test_spec_that_cannot_be_built_leaves_no_folder(
    tmp_path: Path, toy_dataset: Dataset, spec: RunSpec, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run_experiment(spec, toy_dataset, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_evaluating_again_gives_the_same_numbers(run_folder: Path, toy_dataset: Dataset) -> None:
    before = json.loads((run_folder / "record.json").read_text())
    (run_folder / "predictions-test.npz").unlink()
    metrics = evaluate_run(run_folder, toy_dataset)
    after = json.loads((run_folder / "record.json").read_text())
    assert after == before
    assert metrics.nll == before["metrics"]["nll"]
    assert (run_folder / "predictions-test.npz").is_file()


def test_evaluating_writes_damaged_predictions_anew(run_folder: Path, toy_dataset: Dataset) -> None:
    before = {path.name: path.read_bytes() for path in run_folder.iterdir()}
    for split in ("test", "validation"):
        path = run_folder / f"predictions-{split}.npz"
        path.write_bytes(path.read_bytes()[:-100])
    evaluate_run(run_folder, toy_dataset)
    assert {path.name: path.read_bytes() for path in run_folder.iterdir()} == before


@pytest.mark.parametrize(
    ("metric", "change", "refused"),
    [("accuracy", 0.1, True), ("nll", -0.3, True), ("nll", 1e-5, False), ("accuracy", 1 / 80, False)],
)
def test_a_record_that_differs_is_kept(
    run_folder: Path, toy_dataset: Dataset, metric: str, change: float, refused: bool
) -> None:
    record = json.loads((run_folder / "record.json").read_text())
    found = record["metrics"][metric]
    record["metrics"][metric] += change
    (run_folder / "record.json").write_text(json.dumps(record))
    before = {path.name: path.read_bytes() for path in run_folder.iterdir()}
    if refused:
        message = re.escape(f"{metric} {found:.6g} instead of {found + change:.6g}. Weights and images are those")
        with pytest.raises(ValueError, match=message):
            evaluate_run(run_folder, toy_dataset)
    else:
        evaluate_run(run_folder, toy_dataset)
    assert {path.name: path.read_bytes() for path in run_folder.iterdir()} == before


def test_a_record_in_the_place_of_another(run_folder: Path, toy_dataset: Dataset) -> None:
    record = json.loads((run_folder / "record.json").read_text())
    (run_folder / "record.json").write_text(json.dumps({**record, "folder": "other"}))
    with pytest.raises(ValueError, match=r"record\.json is of the run other, not of "):
        run_experiment(SPEC, toy_dataset, run_folder.parent)
    assert not (run_folder.parent / "other").exists()


@pytest.mark.parametrize(
    ("file", "old", "new"), [("spec.json", '"epochs": 2', '"epochs": 3'), ("record.json", '"seed": 0', '"seed": 1')]
)
def test_spec_and_record_of_different_runs(
    run_folder: Path, toy_dataset: Dataset, file: str, old: str, new: str
) -> None:
    text = (run_folder / file).read_text()
    assert old in text
    (run_folder / file).write_text(text.replace(old, new))
    message = r"spec\.json is of the run .* and record\.json of .*: one of them was changed"
    for use in (load_run, lambda folder: evaluate_run(folder, toy_dataset)):
        with pytest.raises(ValueError, match=message):
            use(run_folder)


def test_what_cannot_be_evaluated(tmp_path: Path, run_folder: Path, toy_dataset: Dataset) -> None:
    with pytest.raises(
        ValueError, match=r"is not a run folder: it has no spec\.json; `vsmooth train` makes a run folder"
    ):
        evaluate_run(tmp_path, toy_dataset)
    weights = run_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or was replaced"):
        evaluate_run(run_folder, toy_dataset)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"cannot read weights from .*model\.safetensors"):
        evaluate_run(run_folder, toy_dataset)
    (run_folder / "record.json").write_text('{"schema": 3}')
    with pytest.raises(ValueError, match=r"record\.json is damaged: variant: missing"):
        evaluate_run(run_folder, toy_dataset)
    (run_folder / "record.json").unlink()
    with pytest.raises(ValueError, match="is not finished: run the command that began it again"):
        evaluate_run(run_folder, toy_dataset)
    (run_folder / "spec.json").write_text('{"schema": 3}')
    with pytest.raises(ValueError, match=r"spec\.json is damaged: spec: missing; delete its folder and train again"):
        evaluate_run(run_folder, toy_dataset)


def test_one_hot_network_has_no_virtual_classes(tmp_path: Path, toy_dataset: Dataset) -> None:
    spec = replace(SPEC, objective=parse_objective("one-hot"), epochs=1, optimization=Optimization(ema_decay=0.5))
    assert run_experiment(spec, toy_dataset, tmp_path).variant.objective.num_virtual == 0
    assert read_weights(tmp_path / spec.folder / "model.safetensors")["network.fc.weight"].shape[0] == 4


def test_a_network_that_cannot_take_the_images_is_named_before_anything_is_written(
    tmp_path: Path, toy_dataset: Dataset
) -> None:
    spec = replace(SPEC, model="timm:inception_v4")
    with pytest.raises(ValueError, match=r"timm:inception_v4 cannot take images of \dx\d+x\d+ \(.*--image-size"):
        run_experiment(spec, toy_dataset, tmp_path)
    assert not list(tmp_path.iterdir())


def test_sharding_needs_several_processes(tmp_path: Path, toy_dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="fsdp shards over several processes, but there is one: start with torchrun"):
        run_experiment(SPEC, toy_dataset, tmp_path, execution=Execution(fsdp=True))
