"""Inspected runs against numbers from their own networks, and what is refused before any work."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vsmooth.data import Dataset, ImageSet
from vsmooth.evaluate import Features, Predictions, evaluate_similarity
from vsmooth.experiments.build import training_splits
from vsmooth.experiments.inspection import gradient_maps
from vsmooth.experiments.inspection.inspect_runs import InspectOptions, find_classes, inspect_runs, read_human
from vsmooth.experiments.run import read_spec, run_experiment
from vsmooth.experiments.run_paths import gather_runs, open_run
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.head import all_logits
from vsmooth.losses.catalogue import parse_objective
from vsmooth.records.inspection import FEATURES, read_inspection

FEW = InspectOptions(samples=2, resamples=40)


def test_a_comparison(compared: Path, run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    comparison = gather_runs([compared])
    told: list[tuple[int, int]] = []
    one, ls, vs = inspect_runs(comparison, toy_dataset, FEW, lambda done, total: told.append((done, total)))
    assert told == [(done, 6) for done in range(6)]
    assert [one.baseline, ls.baseline, vs.baseline] == [None, run_of["one"].name, run_of["one"].name]
    assert (one.virtual, ls.virtual) == (None, None)
    assert len(set(one.classes)) == 3
    assert one.classes == ls.classes == vs.classes

    model = open_run(run_of["vs"], toy_dataset).eval()
    with torch.inference_mode(), all_logits(model):
        logits = model(toy_dataset.test.images.float() / 255)
    mass = logits.double().softmax(1)[:, 4:].sum(1)
    assert vs.virtual is not None
    assert vs.virtual.alpha == 0.3
    assert vs.virtual.mass_mean == pytest.approx(float(mass.mean()), abs=1e-5)
    assert vs.virtual.mass_std == pytest.approx(float(mass.std(correction=0)), abs=1e-5)

    features = {label: Features.load(folder / FEATURES["test"]) for label, folder in run_of.items()}
    torch.testing.assert_close(features["vs"].logits, logits, atol=1e-5, rtol=1e-4)
    expected = evaluate_similarity(features["ls"], baseline=features["one"], resamples=40)
    assert ls.similarity == expected
    assert ls.cka[run_of["vs"].name] == vs.cka[run_of["ls"].name]
    grams = (_centred_gram(features[label]).flatten() for label in ("ls", "vs"))
    alike = torch.nn.functional.cosine_similarity(*grams, dim=0)
    assert ls.cka[run_of["vs"].name] == pytest.approx(float(alike))


def _centred_gram(features: Features) -> torch.Tensor:
    centred = features.activations.double() - features.activations.double().mean(0)
    return centred @ centred.T


def test_the_planes_training_images(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    comparison = gather_runs([run_of["one"]])
    (record,) = inspect_runs(comparison, toy_dataset, replace(FEW, classes=("quarter-3", "0", "quarter-1")))
    assert record.classes == (3, 0, 1)
    train, _ = training_splits(read_spec(run_of["one"]), toy_dataset)
    labels = Features.load(run_of["one"] / FEATURES["train"]).labels
    assert labels.bincount(minlength=4).tolist() == [*train.labels.bincount().tolist()[:2], 0, 28]


def test_human_labels_of_a_part_of_the_images(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    counts = torch.randint(1, 9, (80, 4), generator=torch.Generator().manual_seed(0)).double()
    counts += 20 * torch.eye(4)[toy_dataset.test.labels]
    options = replace(FEW, human=counts, images=40)
    (record,) = inspect_runs(gather_runs([run_of["one"]]), toy_dataset, options)
    assert record.samples == 40
    features = Features.load(run_of["one"] / FEATURES["test"])
    chosen = torch.linspace(0, 79, 40).round().long()
    assert torch.equal(features.labels, toy_dataset.test.labels[chosen])
    assert record.similarity == evaluate_similarity(features, counts[chosen], resamples=40)


def test_a_record_survives_the_disk(compared: Path, toy_dataset: Dataset) -> None:
    comparison = gather_runs([compared])
    for run, record in zip(comparison.runs, inspect_runs(comparison, toy_dataset, FEW), strict=True):
        assert read_inspection(Path(run.folder)) == record


def test_classes_come_from_the_one_hot_run(
    compared: Path, run_of: dict[str, Path], toy_dataset: Dataset, accept: Callable[[Path], None]
) -> None:
    """Made-up predictions of the one-hot run: 1 and 2 are mixed up, 0 is taken for 1 at times, 3 for nothing."""
    labels = toy_dataset.test.labels
    table = torch.tensor([[4.0, 1, 0, -9], [0, 4, 3, -9], [0, 3, 4, -9], [-9, -9, -9, 4]])
    Predictions(table[labels], labels).save(run_of["one"] / "predictions-test.npz")
    accept(run_of["one"] / "predictions-test.npz")
    assert set(find_classes(gather_runs([compared]), toy_dataset)) == {1, 2, 3}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("0", "1"), "three different classes, got 0, 1"),
        (("0", "1", "quarter-1"), "three different classes, got 0, 1, quarter-1"),
        (("0", "1", "cat"), "unknown class 'cat'; the classes are quarter-0, quarter-1, quarter-2, quarter-3"),
        (("0", "1", "4"), "unknown class '4'"),
    ],
)
def test_classes_that_span_no_plane(
    run_of: dict[str, Path], toy_dataset: Dataset, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        inspect_runs(gather_runs([run_of["one"]]), toy_dataset, replace(FEW, classes=names))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"human": torch.ones(79, 4)}, r"human labels are \(79, 4\) but the predictions are \(80, 4\)"),
        ({"human": torch.ones(80, 3)}, r"human labels are \(80, 3\)"),
        ({"human": torch.zeros(80, 4)}, "image 0 are no counts"),
        ({"human": torch.eye(4)[torch.zeros(80).long()]}, r"agree with the labels of 2\d % of the images"),
        ({"images": 1}, r"images must be at least 2, got 1"),
        ({"images": 81}, "got 81"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
    ],
)
def test_mistakes_come_before_any_work(
    run_of: dict[str, Path], toy_dataset: Dataset, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        inspect_runs(gather_runs([run_of["one"]]), toy_dataset, replace(FEW, **change))  # type: ignore[arg-type]
    assert not (run_of["one"] / FEATURES["test"]).exists()


def test_integrated_gradients_without_captum(
    run_of: dict[str, Path], toy_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradient_maps, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install captum"):
        inspect_runs(gather_runs([run_of["one"]]), toy_dataset, replace(FEW, integrated=True))
    assert not (run_of["one"] / FEATURES["test"]).exists()


def test_other_images(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="was trained on other images"):
        inspect_runs(gather_runs([run_of["one"]]), toy_dataset.limited(100), FEW)


@pytest.mark.parametrize("text", ["vs:0.2", "vs-normalised:0.2", "vs-collapsed:0.2:20"])
def test_two_classes_have_no_plane_and_no_similarity(toy_dataset: Dataset, tmp_path: Path, text: str) -> None:
    def pair(split: ImageSet) -> ImageSet:
        kept = split.labels < 2
        return ImageSet(split.images[kept], split.labels[kept])

    assert isinstance(toy_dataset.train, ImageSet)
    assert isinstance(toy_dataset.test, ImageSet)
    two = Dataset("two", ("a", "b"), pair(toy_dataset.train), pair(toy_dataset.test))
    spec = RunSpec("two", "small", parse_objective(text), epochs=1, batch_size=32)
    run_experiment(spec, two, tmp_path)
    (record,) = inspect_runs(gather_runs([tmp_path]), two, FEW)
    assert (record.classes, record.similarity) == ((), None)
    assert record.virtual is not None
    assert record.virtual.alpha == 0.2
    assert record.virtual.num_virtual == spec.objective.num_virtual(2)
    with pytest.raises(ValueError, match="takes three classes or more"):
        inspect_runs(gather_runs([tmp_path]), two, replace(FEW, human=torch.ones(40, 2)))


def _damage(value: dict[str, object]) -> dict[str, object]:
    return {**value, "overlap": {"virtual": {"rank": 3}}}


@pytest.mark.parametrize("change", [_damage, lambda value: {"schema": 3}])
def test_a_foreign_record(
    run_of: dict[str, Path], toy_dataset: Dataset, change: Callable[[dict[str, object]], dict[str, object]]
) -> None:
    inspect_runs(gather_runs([run_of["one"]]), toy_dataset, FEW)
    path = run_of["one"] / "inspection.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=r"inspection\.json is damaged: .*`vsmooth inspect` writes it anew"):
        read_inspection(run_of["one"])


def test_files_of_human_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "counts.npy", np.arange(6, dtype=np.int64).reshape(2, 3))
    assert read_human(tmp_path / "counts.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match=r"no file of human labels at .*nothing\.npy"):
        read_human(tmp_path / "nothing.npy")
    (tmp_path / "text.npy").write_text("1 2 3")
    with pytest.raises(ValueError, match=r"text\.npy is not a readable npy file"):
        read_human(tmp_path / "text.npy")
    np.savez(tmp_path / "two.npz", a=np.zeros(2))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    for name in ("two.npz", "words.npy"):
        with pytest.raises(ValueError, match=r"not a readable npy file .*: (numpy.save|it holds <U1)"):
            read_human(tmp_path / name)
