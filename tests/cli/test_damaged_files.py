"""One flipped bit in any file of a run: every command that reads it names the file and changes nothing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from cli_builders import ATTACK, FEW, TINY, taught_by

from vsmooth.cli import main


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ("runs/vs-*/model.safetensors", ["evaluate", "RUN"]),
        ("runs/vs-*/model.safetensors", ["inspect", "RUN", *FEW]),
        ("runs/vs-*/model.safetensors", ["attack", "RUN", *ATTACK]),
        ("runs/vs-*/model.safetensors", ["attack", "RUN", "--verify", "IMAGES"]),
        ("runs/vs-*/model.safetensors", ["calibrate", "RUN", *FEW, "--shift", "--corruptions", "fog"]),
        ("runs/vs-*/model.safetensors", ["calibrate", "RUN", *FEW, "--store-temperature"]),
        ("runs/vs-*/model.safetensors", ["distill", "STUDENT"]),
        ("runs/vs-*/predictions-test.npz", ["calibrate", "RUN", *FEW]),
        ("runs/vs-*/predictions-test.npz", ["inspect", "RUN", *FEW]),
        ("runs/vs-*/predictions-test.npz", ["report", "RUNS"]),
        ("runs/vs-*/predictions-validation.npz", ["calibrate", "RUN", *FEW]),
        ("runs/vs-*/features-test.npz", ["report", "RUNS"]),
        ("runs/vs-*/features-train.npz", ["report", "RUNS"]),
        ("runs/vs-*/gradients.npz", ["report", "RUNS"]),
        ("runs/vs-*/attack/*/adversarial.safetensors", ["attack", "RUN", *ATTACK]),
        ("runs/vs-*/attack/*/adversarial.safetensors", ["attack", "RUN", "--verify", "IMAGES"]),
        ("taught/teacher-cache/*/view-0.safetensors", ["distill", "STUDENT", "--gamma", "0.3"]),
    ],
)
def test_a_flipped_bit_is_noticed(
    whole: Path, toy_folder: Path, capsys: pytest.CaptureFixture[str], damaged: str, words: list[str]
) -> None:
    (run,) = (whole / "runs").glob("vs-*")
    (images,) = run.glob("attack/*/adversarial.safetensors")
    (file,) = whole.glob(damaged)
    flip(file)
    before = contents(whole)
    meant = {"RUN": [str(run)], "RUNS": [str(run.parent)], "IMAGES": [str(images)]}
    meant["STUDENT"] = taught_by(run, whole, toy_folder)
    capsys.readouterr()
    assert main([part for word in words for part in meant.get(word, [word])]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"vsmooth: [^\n]+\n", error), error
    assert f"{file} is damaged or was replaced: its SHA-256 is " in error
    after = contents(whole)
    begun = {name for name in after.keys() - before.keys() if "taught/" in name}  # a student that can be resumed
    assert {Path(name).name for name in begun} <= {"spec.json"}
    assert {name: content for name, content in after.items() if name not in begun} == before


def test_what_is_whole_is_read(whole: Path, toy_folder: Path) -> None:
    (run,) = (whole / "runs").glob("vs-*")
    (images,) = run.glob("attack/*/adversarial.safetensors")
    before = contents(whole / "runs")
    assert main(["evaluate", str(run)]) == 0
    assert main(["attack", str(run), *ATTACK]) == 0
    assert main(["attack", str(run), "--verify", str(images)]) == 0
    assert main(["calibrate", str(run), *FEW]) == 0
    assert contents(whole / "runs") == before
    assert main(["report", str(run.parent)]) == 0
    assert main(["distill", *taught_by(run, whole, toy_folder), "--gamma", "0.3"]) == 0


@pytest.mark.parametrize("split", ["test", "validation"])
def test_evaluate_mends_predictions(whole: Path, split: str) -> None:
    (run,) = (whole / "runs").glob("vs-*")
    before = contents(run)
    flip(run / f"predictions-{split}.npz")
    assert main(["evaluate", str(run)]) == 0
    assert contents(run) == before
    assert main(["calibrate", str(run), *FEW]) == 0


@pytest.mark.parametrize("absolute", [True, False])
def test_a_record_whose_folder_leads_elsewhere(
    whole: Path, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], absolute: bool
) -> None:
    runs = whole / "runs"
    (run,) = runs.glob("vs-*")
    victim = shutil.copytree(run, tmp_path / "victim")
    stolen = json.loads((run / "record.json").read_text())
    stolen |= {"folder": str(victim) if absolute else "../../victim", "seed": 7}
    (run / "record.json").write_text(json.dumps(stolen))
    before = contents(tmp_path)
    again = ["compare", "--labels", "one-hot", "vs:0.3", "--data", str(toy_folder), "--out", str(runs), *TINY]
    for words in (again, ["report", str(runs)], ["evaluate", str(run)]):
        assert main(words) == 2
        assert "the folder of a run must be its own name, not a path, got " in capsys.readouterr().err
    assert contents(tmp_path) == before
