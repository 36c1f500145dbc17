"""Every foreseeable mistake: exit status 2 and one line on stderr that says what to do."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vsmooth.cli import main
from vsmooth.data import Dataset, ImageSet
from vsmooth.data.sources.known_sets import CIFAR10
from vsmooth.train import read_weights, save_weights

TINY = ["--epochs", "2", "--batch-size", "36", "--precision", "fp32"]


@pytest.fixture(scope="module")
def finished(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    assert main(["train", "--label", "one-hot", "--data", str(toy_folder), "--out", str(root), *TINY]) == 0
    return next(root.iterdir())


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / finished.name)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def assert_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"vsmooth: [^\n]+\n", error), error
    assert re.search(message, error), error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "vss:0.3"], r"unknown label 'vss:0.3'; did you mean vs\?"),
        (["--labels", "vs:1.5"], r"alpha must be a number in \[0, 1\], got 1.5"),
        (["--labels", "one-hot", "one-hot"], "a label is named twice"),
        (["--labels"], "at least one label and one seed"),
        (["--seeds", "0"], "seeds must be at least 1, got 0"),
        (["--seeds", "-2"], "seeds must be at least 1, got -2"),
        (["--model", "resnet-20"], r"unknown model 'resnet-20'; did you mean resnet20"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--learning-rate", "-1"], "learning_rate must be positive and finite, got -1.0"),
        (["--warmup", "0.1"], "warmup 0.1 does nothing with the schedule one-cycle: choose schedule cosine or step"),
        (["--milestones", "0.3", "0.6"], "milestones 0.3 0.6 does nothing with the schedule one-cycle: choose"),
        (["--milestones", "100", "150"], r"milestones must be rising fractions in \(0, 1\)"),
        (["--batch-size", "1000"], "batch_size 1000 is larger than the split of 144 images"),
        (["--crop-padding", "8"], "crop_padding=8 does not fit images of 8x8 pixels"),
        (["--validation-fraction", "1"], r"validation_fraction must be inside \(0, 1\), got 1.0"),
        (["--train-limit", "1"], "can keep 2 to 160 train images, not 1"),
    ],
)
def test_mistakes_of_compare(
    toy_folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert_one_line(capsys, ["compare", "--data", str(toy_folder), *arguments], message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cifar11", "unknown data source 'cifar11': did you mean 'cifar10'"),
        ("./nowhere", "unknown data source './nowhere'.*a folder .*nowhere"),
        (".", "holds no data set: looked for train"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "compare"])
def test_unknown_data(capsys: pytest.CaptureFixture[str], verb: str, source: str, message: str) -> None:
    assert_one_line(capsys, [verb, "--data", source], message)


def test_unreadable_image(toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(toy_folder, tmp_path / "toy")
    broken = next((folder / "train" / "quarter-2").iterdir())
    broken.write_bytes(b"no image")
    train = ["train", "--dry-run", "--label", "one-hot", "--data", str(folder), *TINY]
    assert_one_line(capsys, train, broken.name)
    assert main([*train, "--skip-broken"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy: 159 train and 80 test images, 1x8x8, 4 classes"
    assert lines[1].startswith("left out as unreadable: 1 (")
    assert broken.name in lines[1]


def test_train_takes_one_alpha(capsys: pytest.CaptureFixture[str]) -> None:
    message = "'vs:auto' asks for a choice on validation data, which `vsmooth compare` makes: give a number"
    assert_one_line(capsys, ["train", "--label", "vs:auto"], message)


def test_output_folder_is_a_file(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")
    for verb in ("train", "compare"):
        arguments = [verb, "--data", str(toy_folder), "--out", str(tmp_path / "out"), *TINY]
        assert_one_line(
            capsys, arguments, "cannot write to the output folder .*out.*: (Not a directory|File exists)"
        )


@pytest.mark.parametrize(
    ("verb", "prefix"), [("train", "vsmooth: "), ("compare", "vsmooth: one-hot, seed 0: ")]
)
def test_diverged_training(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, prefix: str
) -> None:
    label = ["--label" if verb == "train" else "--labels", "one-hot"]
    options = ["--learning-rate", "1000", "--weight-decay", "100", "--schedule", "constant", "--out", str(tmp_path)]
    message = rf"^{prefix}the loss is (nan|inf) at epoch 1, step \d of 4, learning rate 1000: lower the"
    assert_one_line(capsys, [verb, "--data", str(toy_folder), *TINY, *label, *options], message)


def test_evaluate_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_one_line(capsys, ["evaluate", str(tmp_path)], f"{tmp_path} is not a run folder: it has no spec.json")
    assert_one_line(capsys, ["evaluate", str(tmp_path / "nowhere")], "nowhere does not exist; `vsmooth train` makes")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "record.json",
            '{"schema": 3, "label',
            r"record\.json cannot be read \(.*\); delete it and run again",
        ),
        ("record.json", '{"schema": 3}', r"record\.json is damaged: variant: missing"),
        ("record.json", '{"schema": 9}', r"record\.json has schema 9, this vsmooth reads 3; upgrade vsmooth"),
        ("spec.json", "", r"spec\.json cannot be read"),
        ("spec.json", '{"schema": 3, "spec": {}}', r"spec\.json is damaged: "),
        ("model.safetensors", "x", r"model\.safetensors is damaged or was replaced: .*; put back a copy"),
    ],
)
def test_evaluate_a_damaged_run(
    run_folder: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, message: str
) -> None:
    (run_folder / name).write_text(content)
    assert_one_line(capsys, ["evaluate", str(run_folder)], message)


def test_evaluate_weights_of_another_network(
    run_folder: Path, capsys: pytest.CaptureFixture[str], accept: Callable[[Path], None]
) -> None:
    weights = read_weights(run_folder / "model.safetensors")
    weights["network.extra"] = weights.pop("network.fc.bias")
    save_weights(run_folder / "model.safetensors", weights)
    accept(run_folder / "model.safetensors")
    message = "does not fit this model: missing network.fc.bias; unexpected network.extra; it is of another"
    assert_one_line(capsys, ["evaluate", str(run_folder)], message)


def test_training_a_run_whose_record_is_damaged(
    run_folder: Path, toy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_folder / "record.json").write_text("{")
    arguments = [
        "train",
        "--label",
        "one-hot",
        "--data",
        str(toy_folder),
        "--out",
        str(run_folder.parent),
        *TINY,
    ]
    assert_one_line(capsys, arguments, r"record\.json cannot be read \(.*\); delete it and run again")


def test_images_changed_since(run_folder: Path, toy_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = shutil.copytree(toy_folder, run_folder.parent / "toy")
    options = ["--label", "one-hot", "--data", str(moved), "--out", str(run_folder.parent), *TINY]
    assert main(["train", *options]) == 0
    next((moved / "test" / "quarter-0").iterdir()).unlink()
    capsys.readouterr()
    message = "was trained on other images than toy has now; the data behind .* changed since: choose another --out"
    assert_one_line(capsys, ["train", *options], message)


def test_report_of_a_single_run(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = rf"{run_folder} is one run, not a comparison: give the --out of `vsmooth compare` or `vsmooth distill`; "
    assert_one_line(capsys, ["report", str(run_folder)], message + rf"`vsmooth evaluate {run_folder}` prints")
    (run_folder.parent / "summary.json").write_text("{}")
    assert_one_line(capsys, ["report", str(run_folder)], rf"`vsmooth distill`, here {run_folder.parent};")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "./nowhere", "--model", "resnet-20"], r"unknown model 'resnet-20'; did you mean resnet20"),
        (["--data", "./nowhere", "--drop-path", "0.1"], "small has no stochastic depth"),
        (["--data", "cifar10", "--crop-padding", "32"], "crop_padding=32 does not fit images of 32x32 pixels"),
        (["--data", "embedded", "--crop-padding", "28"], "crop_padding=28 does not fit images of 28x28 pixels"),
        (["--data", "imagenet", "--image-size", "64", "--crop-padding", "64"], "does not fit images of 64x64"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "compare"])
def test_words_are_checked_before_the_data_is_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str, options: list[str], message: str
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("the data was read")

    monkeypatch.setattr("vsmooth.data.load_dataset", read)
    assert_one_line(capsys, [verb, *options], message)


def cut_down(name: str, train: int, test: int, classes: tuple[str, ...] = CIFAR10) -> Dataset:
    # Of another grey in each split: the same images in both would be told, too.
    splits = (
        ImageSet(torch.full((n, 3, 32, 32), n % 251, dtype=torch.uint8), torch.arange(n) % 10) for n in (train, test)
    )
    return Dataset(name, classes, *splits)


@pytest.mark.parametrize(
    ("dataset", "recipe", "message"),
    [
        (cut_down("cifar10", 400, 100), [], "cifar10 has 50,000 train and 10,000 test images, here are 400 and 100: "),
        (cut_down("cifar10", 400, 100), ["--recipe", "cifar10-resnet18"], "here are 400 and 100: results are not comp"),
        (
            cut_down("mine", 400, 100), ["--recipe", "cifar10-resnet18"],
            "recipe cifar10-resnet18 is for cifar10 with 50,000 train and 10,000 test images; mine has 400 and 100",
        ),
        (cut_down("mine", 400, 100), [], None),
    ],
)
def test_a_cut_down_set_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, dataset: Dataset, recipe: list[str],
    message: str | None,
) -> None:
    monkeypatch.setattr("vsmooth.data.load_dataset", lambda *_, **__: dataset)
    assert main(["train", *recipe, "--model", "small", "--batch-size", "32", "--dry-run"]) == 0
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first.endswith("10 classes")
    if message is None:
        assert second.startswith("network")
    else:
        assert message in second
        assert rest[0].startswith("network")  # one line


def test_report_without_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = rf"no summary.json in {tmp_path}; `vsmooth compare --out {tmp_path}` creates it"
    assert_one_line(capsys, ["report", str(tmp_path)], message)
    (tmp_path / "summary.json").write_text('{"schema": 3, "rows": [{"folder": "gone"}], "command": "", ')
    assert_one_line(capsys, ["report", str(tmp_path)], r"summary\.json cannot be read")
    (tmp_path / "summary.json").write_text(
        '{"schema": 3, "rows": [{"folder": "gone"}], "aggregate": [], "command": "", "environment": {}, "classes": []}'
    )
    message = r"summary\.json is damaged: rows\[0\]\.folder: there is no finished run 'gone' beside it"
    assert_one_line(capsys, ["report", str(tmp_path)], message)


def test_missing_package_of_the_lab(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")

    monkeypatch.setattr("vsmooth.data.load_dataset", missing)
    assert_one_line(
        capsys, ["train"], r"No module named 'pyarrow'; it comes with pip install \"vsmooth\[lab\]\""
    )


@pytest.mark.parametrize(
    "arguments", [["trian"], ["train", "--epochs", "many"], ["train", "--optimizer", "adam"]]
)
def test_words_that_are_not_understood(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_only_the_named_folder_is_written(toy_folder: Path, tmp_path: Path) -> None:
    assert main(["train", "--data", str(toy_folder), "--out", "out", *TINY]) == 0
    assert os.listdir(tmp_path) == ["out"]
