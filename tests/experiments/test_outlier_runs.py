"""Runs with outliers: where they come from, what the variant says, fine-tuning from a run, and mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vsmooth.data import NO_AUGMENTATION, Dataset
from vsmooth.experiments.initial import InitialRuns
from vsmooth.experiments.outliers import training_outliers
from vsmooth.experiments.run import load_run, read_spec, run_experiment
from vsmooth.experiments.specs.outlier import (
    EnergyBoundSettings,
    OutlierExposureSettings,
    RejectClassesSettings,
)
from vsmooth.experiments.specs.outlier_stream import InitialWeights, OutlierStream
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.variants import variant_of
from vsmooth.head import all_logits
from vsmooth.losses import parse_objective
from vsmooth.records.objective import ONE_HOT
from vsmooth.records.run import WEIGHTS_FILE, read_record
from vsmooth.train import Listener, read_weights

MADE = OutlierStream("synthetic:noise", 16, 32)
BASE = RunSpec("toy", "small", epochs=1, batch_size=32, augmentation=NO_AUGMENTATION)


def spec_with(method: object, text: str = "one-hot") -> RunSpec:
    return replace(BASE, method=method).with_objective(parse_objective(text))  # type: ignore[arg-type]


def initial(folder: Path) -> InitialWeights:
    return InitialRuns.of([folder]).choose(parse_objective("one-hot"), 0)


def test_the_record_tells_the_outliers_and_every_method_has_its_classes(toy_dataset: Dataset, tmp_path: Path) -> None:
    record = run_experiment(spec_with(RejectClassesSettings(MADE, reject=3), "vs:0.3:2"), toy_dataset, tmp_path)
    assert record.variant.outliers == "synthetic:noise"
    assert record.variant.name == "SSL + VS 0.3 V=2"
    told = record.environments[0]["outliers"]
    assert told.startswith("32 of synthetic:noise, digest ")
    model = load_run(tmp_path / record.folder)
    images = toy_dataset.test.images[:5].float() / 255
    assert model(images).shape == (5, 4)
    with all_logits(model):
        assert model(images).shape == (5, 4 + 3 + 2)
    assert read_spec(tmp_path / record.folder).method == RejectClassesSettings(MADE, reject=3)


def test_rows_are_named_as_in_the_paper_and_have_one_baseline() -> None:
    def variant(target: str, text: str):  # type: ignore[no-untyped-def]
        return variant_of(spec_with(OutlierExposureSettings(MADE, target=target), text), 4)  # type: ignore[arg-type]

    names = {target: variant(target, "vs:0.05").name for target in ("vs1", "vs2", "uniform")}
    assert names == {"vs1": "OE + VS1 0.05", "vs2": "OE + VS2 0.05", "uniform": "OE + VS0 0.05"}
    assert len({variant(target, "vs:0.05").key for target in names}) == 3
    baselines = {variant(target, "vs:0.05").baseline.key for target in names}
    assert baselines == {variant("vs1", "one-hot").key}
    assert variant("vs1", "one-hot").objective == ONE_HOT


def test_without_virtual_classes_the_target_makes_no_other_run() -> None:
    specs = {spec_with(OutlierExposureSettings(MADE, target=target)) for target in ("vs1", "vs2", "uniform")}
    assert len(specs) == 1
    assert len({spec_with(OutlierExposureSettings(MADE, target=t), "vs:0.1").key for t in ("vs1", "vs2")}) == 2


def test_fine_tuning_starts_with_the_weights_of_a_run(toy_dataset: Dataset, tmp_path: Path) -> None:
    """With a learning rate of next to nothing the weights stay those of the run, and new classes are added."""
    base = run_experiment(BASE, toy_dataset, tmp_path)
    still = replace(BASE.optimization, learning_rate=1e-12, weight_decay=0.0, schedule="constant")
    expected = read_weights(tmp_path / base.folder / WEIGHTS_FILE)
    for method, text, more in (
        (OutlierExposureSettings(MADE), "one-hot", 0),
        (OutlierExposureSettings(MADE), "vs:0.3", 4),
        (RejectClassesSettings(MADE, reject=2), "one-hot", 2),
    ):
        fine = replace(method, initial=initial(tmp_path / base.folder))
        record = run_experiment(replace(spec_with(fine, text), optimization=still), toy_dataset, tmp_path)
        assert "fine-tuned" in record.variant.method.settings
        found = read_weights(tmp_path / record.folder / WEIGHTS_FILE)
        assert found.keys() == expected.keys()
        wider = [name for name in found if found[name].shape != expected[name].shape]
        assert all(len(found[name]) == 4 + more for name in wider)
        assert bool(wider) == bool(more)
        for name in found:
            if "running" not in name and "num_batches" not in name:
                torch.testing.assert_close(found[name][: len(expected[name])], expected[name], rtol=1e-4, atol=1e-6)


def test_seeds_start_from_their_own_runs_and_are_one_variant(toy_dataset: Dataset, tmp_path: Path) -> None:
    folders = [
        tmp_path / run_experiment(BASE.with_objective(parse_objective(text), seed), toy_dataset, tmp_path).folder
        for seed in (0, 1) for text in ("one-hot", "vs:0.3")
    ]
    runs = InitialRuns.of(folders)
    chosen = [runs.choose(parse_objective(text), seed).run for seed in (0, 1) for text in ("one-hot", "vs:0.3")]
    assert chosen == [str(folder) for folder in folders]
    first, second = (
        variant_of(spec_with(EnergyBoundSettings(MADE, runs.choose(parse_objective("one-hot"), seed))), 4)
        for seed in (0, 1)
    )
    assert first.key == second.key
    with pytest.raises(ValueError, match="of the 4 runs to start from none are of seed 5 and one-hot"):
        runs.choose(parse_objective("one-hot"), 5)
    with pytest.raises(ValueError, match=r"none are of seed 0 and ls:0\.2"):
        runs.choose(parse_objective("ls:0.2"), 0)


class Told(Listener):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def on_message(self, text: str) -> None:
        self.messages.append(text)


def test_outliers_that_are_images_of_the_classes(toy_dataset: Dataset, tmp_path: Path) -> None:
    """All of them: refused. Some: told, with their number."""
    own = toy_dataset.test.images.permute(0, 2, 3, 1).numpy()
    np.save(tmp_path / "same.npy", own[:40])
    with pytest.raises(ValueError, match=r"the outliers .*same\.npy' are images of toy itself"):
        training_outliers(OutlierStream(str(tmp_path / "same.npy"), 16), toy_dataset)
    np.save(tmp_path / "some.npy", np.concatenate([own[:5], 255 - own[:27]]))
    told = Told()
    spec = spec_with(OutlierExposureSettings(OutlierStream(str(tmp_path / "some.npy"), 16)))
    run_experiment(spec, toy_dataset, tmp_path, told)
    assert any("5 of the 32 outliers" in message and "are images of toy itself" in message for message in told.messages)


def test_mistakes(toy_dataset: Dataset, tmp_path: Path) -> None:
    large = OutlierExposureSettings(replace(MADE, batch_size=64))
    with pytest.raises(ValueError, match="a batch of 64 outliers is more than the 32 of 'synthetic:noise'"):
        run_experiment(spec_with(large), toy_dataset, tmp_path)
    base = run_experiment(BASE, toy_dataset, tmp_path)
    folder = tmp_path / base.folder
    started = spec_with(OutlierExposureSettings(MADE, replace(initial(folder), digest="0" * 16)))
    with pytest.raises(ValueError, match=r"training cannot start from .* its weights is .*, wanted is 0000"):
        run_experiment(started, toy_dataset, tmp_path)
    other = replace(spec_with(OutlierExposureSettings(MADE, initial(folder))), model="resnet20")
    with pytest.raises(ValueError, match="its network is small, wanted is resnet20"):
        run_experiment(other, toy_dataset, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is not finished: training cannot start from it"):
        InitialRuns.of([tmp_path / "empty"])
    assert read_record(folder).folder == base.folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OutlierExposureSettings(weight=-1.0), "weight of the outliers' loss must be 0 or more, got -1.0"),
        (lambda: OutlierExposureSettings(target="vs3"), "the target of outliers must be one of uniform, vs1, vs2"),
        (lambda: RejectClassesSettings(reject=0), "the number of reject classes must be at least 1, got 0"),
        (lambda: RejectClassesSettings(pseudo_label="best"), "the pseudo-label rule must be one of decision, best-"),
        (lambda: EnergyBoundSettings(low=0.0, high=-1.0), "must be bounded below that of outliers, got 0.0 and -1.0"),
        (lambda: OutlierStream(batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda: OutlierStream(limit=0), "the number of outliers must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
