"""Records of attacks: there and back, in order, and files that are damaged or something else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vsmooth.attacks import PGD, ThreatModel
from vsmooth.evaluate import SanityReport, Standing
from vsmooth.records.robust import (
    ADVERSARIAL_FILE,
    ATTACK_FOLDER,
    ROBUST_FILE,
    Adversarial,
    AttackRecord,
    ColumnRecord,
    RobustRecord,
    read_robust,
    robust_records,
    write_robust,
)
from vsmooth.records.sanity import LossGrid, SweepPoint

HALF = Standing.of(5, 10)
SANITY = SanityReport(
    10, (SweepPoint(20, HALF), SweepPoint(100, Standing.of(1, 10))), (SweepPoint(0.1, HALF),), HALF, HALF, 0, 0.0,
    LossGrid(3, (-1.0, 1.0), (0.0, 1.0), ((0.5, 1.0), (1.5, 2.0))),
)
RECORD = RobustRecord(
    ThreatModel(), 10, 80, 4, 3, Standing.of(9, 10),
    (ColumnRecord("PGD-20 real", "real", "right", 9, HALF, (AttackRecord("PGD-20", {"steps": 20}, 5, "bf16"),)),),
    Standing.of(4, 10), "0123", 0, "bf16", 1.5, SANITY, "0.2.0", ("zero gradients",), "one-hot", ("left out",),
    {"torch": "2"},
)


def test_there_and_back(tmp_path: Path) -> None:
    assert read_robust(tmp_path) == ()
    wide = replace(RECORD, threat=ThreatModel(epsilon=16 / 255), sanity=None)
    far = replace(RECORD, threat=ThreatModel("l2", 0.5))
    for name, record in (("b", wide), ("c", far), ("a", replace(RECORD, images=12)), ("d", RECORD)):
        write_robust(record, tmp_path / ATTACK_FOLDER / name)
    (tmp_path / ATTACK_FOLDER / "unfinished").mkdir()
    assert read_robust(tmp_path) == (far, RECORD, replace(RECORD, images=12), wide)
    assert [path.name for path in robust_records(tmp_path)] == ["c", "d", "a", "b"]
    assert RECORD.column("PGD-20 real") == RECORD.columns[0]
    assert RECORD.column("AA real") is None
    assert len(RECORD.findings) == 2  # more steps help; the widest ball does not reach 0
    assert wide.findings == ()


def test_settings_of_an_attack_are_plain() -> None:
    attack = AttackRecord("PGD-20", PGD(step_size=0.01).settings(), 5)
    again = json.loads(json.dumps(attack.settings))
    assert again == {
        "objective": "ce", "steps": 20, "step_size": 0.01, "restarts": 1, "random_start": False, "rule": "constant",
        "keep": "last",
    }


@pytest.mark.parametrize("change", [{"columns": 3}, {"threat": {"norm": "l7"}}, {"clean": None}, {"sanity": {}}])
def test_a_foreign_record(tmp_path: Path, change: dict[str, object]) -> None:
    path = write_robust(RECORD, tmp_path / ATTACK_FOLDER / "a")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=rf"{ROBUST_FILE} is damaged: .*; delete it and run again"):
        read_robust(tmp_path)


def test_an_interval_that_is_not_of_its_count(tmp_path: Path) -> None:
    path = write_robust(RECORD, tmp_path / ATTACK_FOLDER / "a")
    value = json.loads(path.read_text())
    value["headline"]["count"] = 5  # inside the interval of 4 of 10, so that only its ends show it
    path.write_text(json.dumps(value))
    with pytest.raises(ValueError, match=r"headline: the interval of 5 of 10 is 0\.2366 to 0\.7634, not 0\.1682 to"):
        read_robust(tmp_path)


def test_a_damaged_record(tmp_path: Path) -> None:
    path = write_robust(RECORD, tmp_path / ATTACK_FOLDER / "a")
    path.write_text(path.read_text()[:100])
    with pytest.raises(ValueError, match=r"cannot be read .*delete it and run again"):
        read_robust(tmp_path)


def test_a_file_of_adversarial_images(tmp_path: Path) -> None:
    path = tmp_path / ADVERSARIAL_FILE
    with pytest.raises(ValueError, match="there is no file of adversarial images at"):
        Adversarial.load(path)
    numbers = torch.arange(3)
    Adversarial(torch.rand(3, 1, 2, 2), numbers, numbers + 1, numbers + 2, numbers + 3).save(path)
    assert Adversarial.load(path).decisions.tolist() == [3, 4, 5]
    arrays = load_file(path)
    for change, message in (
        ({"images": arrays["images"].half()}, r"images must be float32 \(N, C, H, W\), got torch.float16"),
        ({"labels": arrays["labels"][:2]}, r"labels must be int64 \(3,\), one an image, got torch.int64 \(2,\)"),
        ({"indices": arrays["indices"].float()}, r"indices must be int64 \(3,\), one an image, got torch.float32"),
    ):
        save_file({**arrays, **change}, path)
        with pytest.raises(ValueError, match=message):
            Adversarial.load(path)
    save_file({"images": arrays["images"]}, path)
    with pytest.raises(ValueError, match="has no array 'indices', only"):
        Adversarial.load(path)
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ValueError, match="is not a readable file of adversarial images"):
        Adversarial.load(path)
