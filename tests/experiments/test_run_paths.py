"""Runs found from what is typed, and refused where they do not belong together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vsmooth.data import Dataset
from vsmooth.experiments.run_paths import find_runs, gather_runs, open_run


def test_a_comparison_gives_its_runs_in_order_and_each_once(compared: Path, run_of: dict[str, Path]) -> None:
    assert find_runs([compared, run_of["ls"]]) == (run_of["one"], run_of["ls"], run_of["vs"])
    assert find_runs([run_of["vs"], compared])[0] == run_of["vs"]


def test_a_directory_of_runs_needs_no_summary(compared: Path, run_of: dict[str, Path]) -> None:
    (compared / "summary.json").unlink()
    assert set(find_runs([compared])) == set(run_of.values())


def test_gathered_runs_carry_whole_paths_and_class_names(compared: Path, toy_dataset: Dataset) -> None:
    found = gather_runs([compared])
    assert [run.name for run in found.runs] == ["one-hot", "LS 0.2", "VS 0.3 V=3"]
    assert all(Path(run.folder).is_absolute() and Path(run.folder).is_dir() for run in found.runs)
    assert found.classes == toy_dataset.classes
    logits, labels = found.predictions(found.runs[2])
    assert logits.shape == (80, 4)
    assert labels.tolist() == toy_dataset.test.labels.tolist()


def test_an_opened_run_is_the_trained_network(run_of: dict[str, Path], toy_dataset: Dataset) -> None:
    model = open_run(run_of["vs"], toy_dataset).eval()
    gathered = gather_runs([run_of["vs"]])
    logits, _ = gathered.predictions(gathered.runs[0])
    images = toy_dataset.test.images[:5].float() / 255
    assert model(images).detach().numpy() == pytest.approx(logits[:5], abs=1e-4)


def test_no_runs(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=r"is no run folder and holds none: .* `vsmooth train`"):
            find_runs([path])


def test_an_unfinished_run(run_of: dict[str, Path]) -> None:
    (run_of["ls"] / "record.json").unlink()
    with pytest.raises(ValueError, match=r"ls-0\.2.* is not finished: run the command that began it again"):
        gather_runs([run_of["ls"]])


def test_the_same_label_and_seed_twice(run_of: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(run_of["ls"], tmp_path / "copy")
    with pytest.raises(ValueError, match=r"are both LS 0.2 with the same seed; leave one of them out"):
        gather_runs([run_of["ls"], copy])


@pytest.mark.parametrize(
    ("file", "field", "value", "message"),
    [
        ("record.json", "model", "resnet20", r"differ in model \(resnet20 and small\)"),
        ("record.json", "epochs", 1, r"differ in epochs \(1 and 2\)"),
        ("spec.json", "data_fingerprint", "feedbeef", r"differ in images \(feedbeef and "),
    ],
)
def test_runs_of_other_experiments(
    run_of: dict[str, Path], file: str, field: str, value: object, message: str
) -> None:
    path = run_of["vs"] / file
    changed = json.loads(path.read_text()) | {field: value}
    if field == "epochs":
        del changed["history"][-1]
    path.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=message):
        gather_runs([run_of["one"], run_of["vs"]])
