"""Parts of an evaluation whose file has its digest and yet holds something else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vsmooth.digests import DamagedFileError, digest_file, write_digest
from vsmooth.evaluate import FolderParts
from vsmooth.evaluate.robust.parts import Part

INDICES, SHAPE = torch.tensor([3, 5, 8]), (1, 2, 2)
PART = Part(INDICES, torch.tensor([True, False, True]), torch.tensor([8]), torch.rand(1, *SHAPE))


def test_there_and_back(tmp_path: Path) -> None:
    parts = FolderParts(tmp_path)
    assert parts.load("pgd", 0, INDICES, SHAPE) is None
    parts.save("pgd", 0, PART)
    found = parts.load("pgd", 0, INDICES, SHAPE)
    assert parts.load("pgd", 0, INDICES + 1, SHAPE) is None  # of other images: not damaged
    assert found is not None
    assert torch.equal(found.images, PART.images)


@pytest.mark.parametrize(
    "change",
    [
        {"found": torch.tensor([99])},
        {"found": torch.tensor([-1])},
        {"found": torch.tensor([5])},  # one that stands
        {"found": torch.tensor([8, 8]), "images": torch.rand(2, *SHAPE)},
        {"found": torch.tensor([8.0])},
        {"found": torch.tensor(8)},
        {"fooled": torch.tensor([True])},
        {"fooled": torch.tensor([1, 0, 1])},
        {"fooled": torch.ones(3, 2, dtype=torch.bool)},
        {"images": torch.rand(1, 1, 4, 4)},
        {"images": torch.rand(2, *SHAPE)},
        {"images": torch.rand(1, *SHAPE).half()},
        {"images": torch.full((1, *SHAPE), torch.nan)},
        {"extra": torch.zeros(1)},
    ],
)
def test_a_part_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Tensor]) -> None:
    parts = FolderParts(tmp_path)
    parts.save("pgd", 0, PART)
    file = tmp_path / "pgd" / "00000.safetensors"
    save_file(load_file(file) | change, file)
    write_digest(file)
    with pytest.raises(DamagedFileError, match=r"00000\.safetensors is damaged: .*; delete it and run") as told:
        parts.load("pgd", 0, INDICES, SHAPE)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("length", [0, 40, -1])
def test_a_cut_off_part_is_refused(tmp_path: Path, length: int) -> None:
    parts = FolderParts(tmp_path)
    parts.save("pgd", 0, PART)
    file = tmp_path / "pgd" / "00000.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DamagedFileError, match=r"is damaged or was replaced: its SHA-256 is .*; delete it and run"):
        parts.load("pgd", 0, INDICES, SHAPE)


def test_a_part_whose_process_died_before_its_digest_is_attacked_again(tmp_path: Path) -> None:
    parts = FolderParts(tmp_path)
    parts.save("pgd", 0, PART)
    digest_file(tmp_path / "pgd" / "00000.safetensors").unlink()
    assert parts.load("pgd", 0, INDICES, SHAPE) is None
