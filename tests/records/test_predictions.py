"""Predictions on disk: a round trip, an interrupted write, and files that are not what they should be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vsmooth.evaluate import Predictions


def example() -> Predictions:
    return Predictions(torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, -1.0]]), torch.tensor([2, 1]))


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "run" / "predictions-test.npz"
    example().save(path)
    loaded = Predictions.load(path)
    assert torch.equal(loaded.logits, example().logits)
    assert loaded.logits.dtype == torch.float32
    assert torch.equal(loaded.labels, example().labels)
    assert loaded.labels.dtype == torch.int64
    assert [entry.name for entry in path.parent.iterdir()] == ["predictions-test.npz"]
    with np.load(path) as archive:
        assert sorted(archive.files) == ["labels", "logits"]


def test_probabilities_are_the_float64_softmax() -> None:
    probabilities = example().probabilities
    assert probabilities.dtype == torch.float64
    odds = np.exp([0.0, 1.0, 2.0])
    assert probabilities[0].tolist() == pytest.approx((odds / odds.sum()).tolist())


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "predictions.npz"
    example().save(path)
    old = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        Predictions(torch.zeros(1, 2), torch.tensor([0])).save(path)
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["predictions.npz"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no predictions file at .*absent\.npz"):
        Predictions.load(tmp_path / "absent.npz")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "damaged.npz"
    example().save(path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"\x93NUMPY") + 130] ^= (
        0xFF  # inside the first array's data: the zip checksum notices
    )
    for content in (b"", b"not a zip", whole[: len(whole) // 2], whole[:-1], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged\.npz is not a readable npz"):
            Predictions.load(path)


def test_what_is_no_archive_gets_no_advice_to_unpickle_it(tmp_path: Path) -> None:
    text, objects = tmp_path / "text.npz", tmp_path / "objects.npz"
    text.write_text("0.1, 0.9\n0.3, 0.7\n")
    np.savez(objects, logits=np.array([{}, None]), labels=np.zeros(2))
    for path, reason in ((text, "cut off, or something else, not an npz"), (objects, "it holds Python objects")):
        with pytest.raises(ValueError, match=rf"{path.name} is not a readable npz of predictions: {reason}") as caught:
            Predictions.load(path)
        assert "pickle" not in str(caught.value)


def test_a_single_array_is_not_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "array.npz"
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"array\.npz is not a readable npz .*single array"):
        Predictions.load(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"logits": np.zeros((2, 3))}, "no array 'labels', only .*logits"),
        ({"images": np.zeros(1)}, "no array 'labels'"),
        ({"logits": np.zeros(3), "labels": np.zeros(3, int)}, r"logits must be .* got \(3,\)"),
        ({"logits": np.zeros((2, 1)), "labels": np.zeros(2, int)}, "K >= 2"),
        ({"logits": np.zeros((2, 3), int), "labels": np.zeros(2, int)}, "of torch.int64"),
        ({"logits": np.zeros((2, 3)), "labels": np.zeros(3, int)}, "2 predictions but 3 labels"),
        ({"logits": np.zeros((2, 3)), "labels": np.array([0, 3])}, r"label 3 at index 1 is outside 0\.\.2"),
        ({"logits": np.zeros((2, 3)), "labels": np.zeros(2)}, "class indices, got"),
        ({"logits": np.array([[0, 1], [0, np.nan]]), "labels": np.zeros(2, int)}, "sample 1 hold NaN or Inf"),
        ({"logits": np.array([[0, np.inf]]), "labels": np.zeros(1, int)}, "sample 0 hold NaN or Inf"),
        ({"logits": np.array([["a", "b"]]), "labels": np.zeros(1, int)}, "it holds <U1, not numbers"),
    ],
)
def test_wrong_arrays_are_named_with_the_file(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    path = tmp_path / "wrong.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"wrong\.npz.*" + message):
        Predictions.load(path)
