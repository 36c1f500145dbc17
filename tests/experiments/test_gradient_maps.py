"""Kept input gradients against autograd, and which images they are of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from vsmooth.data import Dataset
from vsmooth.experiments.inspection.gradient_maps import collect_gradients, gradient_overlaps, spread_over_classes
from vsmooth.experiments.run_paths import open_run
from vsmooth.head import all_logits
from vsmooth.records.gradient_maps import GRADIENTS_FILE, GradientMaps


def test_gradients_are_those_of_the_logits(run_of: dict[str, Path], toy_dataset: Dataset, tmp_path: Path) -> None:
    model = open_run(run_of["vs"], toy_dataset)
    found = collect_gradients(model, toy_dataset, samples=4, integrated=True)
    assert set(found.maps) == {
        f"{kind}{name}" for kind in ("", "integrated ") for name in ("correct", "incorrect", "virtual")
    }
    assert found.labels.tolist() == [0, 1, 2, 3]
    images = found.images.clone().requires_grad_()
    with all_logits(model.eval()):
        logits = model(images)
    (expected,) = torch.autograd.grad(logits[:, 4:].sum(), images)
    torch.testing.assert_close(found.maps["virtual"], expected, atol=1e-5, rtol=1e-3)
    found.save(tmp_path)
    read = GradientMaps.load(tmp_path)
    assert read is not None
    assert torch.equal(read.images, found.images)
    assert all(torch.equal(read.maps[name], values) for name, values in found.maps.items())


def test_overlap_is_the_mean_rank_correlation(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    model = open_run(run_of["vs"], toy_dataset)
    overlaps = gradient_overlaps(model, toy_dataset, resamples=40)
    assert set(overlaps) == {"incorrect", "virtual"}
    everything = collect_gradients(model, toy_dataset, samples=80)  # all test images, in another order
    maps = [everything.maps[name].abs().sum(1).flatten(1).numpy() for name in ("correct", "virtual")]
    ranks = [spearmanr(*pair).statistic for pair in zip(*maps, strict=True)]
    assert overlaps["virtual"].images == 80
    assert overlaps["virtual"].rank.value == pytest.approx(np.mean(ranks), abs=1e-3)
    assert overlaps["virtual"].rank.low < np.mean(ranks) < overlaps["virtual"].rank.high


def test_a_plain_network_has_no_virtual_map(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    model = open_run(run_of["one"], toy_dataset)
    assert set(collect_gradients(model, toy_dataset, samples=1).maps) == {"correct", "incorrect"}
    assert set(gradient_overlaps(model, toy_dataset, resamples=40)) == {"incorrect"}


def test_samples_are_spread_over_the_classes() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])
    assert spread_over_classes(labels, 2).tolist() == [0, 7]
    assert spread_over_classes(labels, 4).tolist() == [0, 3, 5, 7]
    assert spread_over_classes(labels, 6).tolist() == [0, 3, 5, 7, 1, 4]
    assert sorted(spread_over_classes(labels, 8).tolist()) == list(range(8))
    for wanted in (0, 9):
        with pytest.raises(ValueError, match=rf"samples must be 1 to 8 \(the test images\), got {wanted}"):
            spread_over_classes(labels, wanted)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    assert GradientMaps.load(tmp_path) is None
    np.savez(tmp_path / GRADIENTS_FILE, images=np.zeros(3))
    with pytest.raises(ValueError, match=r"gradients\.npz holds no input gradients, only \['images'\]"):
        GradientMaps.load(tmp_path)
    (tmp_path / GRADIENTS_FILE).write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"gradients\.npz is not a readable npz"):
        GradientMaps.load(tmp_path)
