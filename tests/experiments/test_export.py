"""An exported network against the run it came from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vsmooth.data import Dataset
from vsmooth.evaluate import Predictions
from vsmooth.experiments.export import CALIBRATED_FILE, export_calibrated, load_calibrated
from vsmooth.head import virtual_heads
from vsmooth.train import CheckpointError, read_weights


@pytest.mark.parametrize("label", ["one", "vs"])
def test_it_gives_the_runs_logits_over_the_temperature(
    run_of: dict[str, Path], toy_dataset: Dataset, label: str
) -> None:
    before = (run_of[label] / "model.safetensors").read_bytes()
    path = export_calibrated(run_of[label], toy_dataset, 1.7)
    assert path == run_of[label] / CALIBRATED_FILE
    model = load_calibrated(path)
    assert not model.training
    assert not virtual_heads(model)
    expected = Predictions.load(run_of[label] / "predictions-test.npz").logits / 1.7
    with torch.inference_mode():
        found = model(toy_dataset.test.images.float() / 255)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert (run_of[label] / "model.safetensors").read_bytes() == before
    assert float(read_weights(path)["temperature"]) == pytest.approx(1.7)


def test_a_temperature_that_cannot_be(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="temperature must be positive"):
        export_calibrated(run_of["one"], toy_dataset, 0.0)
    assert not (run_of["one"] / CALIBRATED_FILE).exists()


def test_files_that_are_something_else(run_of: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot read weights from .*nothing"):
        load_calibrated(tmp_path / "nothing.safetensors")
    message = r"is no calibrated network .*: `vsmooth calibrate RUN --store-temperature`"
    with pytest.raises(CheckpointError, match=message):
        load_calibrated(run_of["one"] / "model.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors", metadata={"vsmooth": "[]"})
    with pytest.raises(CheckpointError, match="is no calibrated network"):
        load_calibrated(tmp_path / "other.safetensors")


def test_a_damaged_calibrated_network(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    path = export_calibrated(run_of["vs"], toy_dataset, 1.7)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"model-calibrated.safetensors is damaged or was replaced: .* writes it anew"):
        load_calibrated(path)
