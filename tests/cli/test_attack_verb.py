"""`vsmooth attack`, from typed words to printed tables, files and the page, and saved images judged again."""

from __future__ import annotations

import re
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from cli_builders import squeezed
from safetensors.torch import load_file, save_file

from vsmooth.cli import main
from vsmooth.cli.method_options import parse_radius
from vsmooth.cli.verbs import attack as verb
from vsmooth.data import load_dataset
from vsmooth.experiments.robust import plan
from vsmooth.experiments.robust.attack import attack_run
from vsmooth.experiments.robust.options import AttackOptions
from vsmooth.experiments.robust.plan import fingerprint
from vsmooth.experiments.run import read_spec
from vsmooth.records.robust import read_robust

QUICK = ["--attacks", "pgd", "cw", "multi-target", "--no-sanity", "--images", "40"]


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoAttack and the sanity block with a few steps, which the command line does not offer."""
    monkeypatch.setattr(verb, "Budget", partial(verb.Budget, apgd_steps=2, queries=5, own_steps=2))
    monkeypatch.setattr(verb, "AttackOptions", partial(AttackOptions, sanity_steps=(2, 4)))


def test_two_runs_give_one_table_and_a_page(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["attack", str(runs), *QUICK, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    text = squeezed(captured.out)
    assert captured.err == ""
    assert "Under attack: L-inf, epsilon 8/255, 40 of 80 test images" in text
    for words in ("Clean", "PGD-20 real", "CW-20 real", "PGD-20 all", "★ Headline", "one-hot VS 0.3",
                  "Without AutoAttack the headline is weaker evidence", "adversarial.safetensors"):
        assert words in text
    assert "one-hot: Left out: AA real. This headline is not one to quote." in text
    assert "VS 0.3: Left out: AA real, AA+ all, Lambda sweep." in text
    assert "nothing suspicious" not in text
    (plain,), (virtual,) = (read_robust(folder) for folder in sorted(runs.glob("*-seed0-*")))
    assert len(virtual.columns) == len(plain.columns) + 2
    assert f"★ {100 * plain.headline.accuracy:.1f} ★ {100 * virtual.headline.accuracy:.1f}" in text
    assert {path.name for path in out.iterdir()} == {
        "robust.md", *(f"adversarial-{name}.{kind}" for name in ("one-hot", "vs-0.3") for kind in ("png", "pdf")),
    }
    assert "## Attacks on VS 0.3" in (out / "robust.md").read_text()
    assert main(["report", str(runs)]) == 0
    assert "<h2>Under attack: L-inf, epsilon 8/255, 40 of 80 test images</h2>" in (runs / "report.html").read_text()


@pytest.mark.usefixtures("cheap")
def test_everything_on_one_run(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,), (twin,) = runs.glob("vs-*"), runs.glob("one-hot-*")
    out = tmp_path / "out"
    options = ["--transfer-from", str(twin), "--images", "12", "--sanity-images", "4", "--columns", "standing"]
    assert main(["attack", str(run), *options, "--norm", "l2", "--epsilon", "1.5", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    text = squeezed(captured.out)
    assert "Under attack: L2, epsilon 1.5, 12 of 80 test images" in text
    for words in ("AA real †", "AA+ all †", "Lambda sweep †", "Transfer †", "Can the attacks be trusted?",
                  "Transfer: from one-hot, seed 0.", "pyautoattack"):
        assert words in text
    assert "| 2 steps | 4 steps |" in (out / "robust.md").read_text()
    names = ("accuracy-against-epsilon", "accuracy-against-steps", "loss-surface")
    assert {path.name for path in out.iterdir()} >= {f"{name}.{kind}" for name in names for kind in ("png", "pdf")}


def test_a_finished_evaluation_is_read_back(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs.glob("one-hot-*")
    assert main(["attack", str(run), *QUICK]) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("vsmooth.experiments.robust.attack.evaluate_robust", None)  # would fail if it were called
    assert main(["attack", str(run), *QUICK]) == 0
    assert capsys.readouterr().out == first


def test_one_evaluation_hashes_the_weights_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    monkeypatch.setattr(plan, "fingerprint", lambda folder, *rest: hashed.append(folder) or fingerprint(folder, *rest))
    assert main(["attack", str(runs), *QUICK]) == 0
    assert sorted(hashed) == sorted(runs.glob("*-seed0-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_evaluation_says_that_it_resumes(
    number: signal.Signals, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        signal.raise_signal(number)

    (run,) = runs.glob("one-hot-*")
    monkeypatch.setattr(verb, "run_attack", interrupted)
    inherited = signal.getsignal(number)
    if number == signal.SIGINT:  # a suite that a shell starts in the background inherits that it is ignored
        signal.signal(number, signal.default_int_handler)
    before = signal.getsignal(number)
    try:
        assert main(["attack", str(run), *QUICK]) == 128 + number
        assert signal.getsignal(number) == before
    finally:
        signal.signal(number, inherited)
    assert "finished batches are kept, and the same command goes on" in squeezed(capsys.readouterr().out)


def test_the_command_that_is_printed_judges_the_images(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("one-hot-*")
    assert main(["attack", str(run), *QUICK]) == 0
    (command,) = re.findall(r"vsmooth (attack .* --verify .*)", capsys.readouterr().out)
    assert main(command.split()) == 0
    text = squeezed(capsys.readouterr().out)
    (record,) = read_robust(run)
    assert f"still right {record.headline.count} (" in text
    assert "are as the record says" in text
    file = Path(command.split()[-1])
    tensors = load_file(file)
    tensors["images"] = (tensors["images"] + 0.1).clamp(0, 1)
    save_file(tensors, file)
    assert main(command.split()) == 2
    captured = capsys.readouterr()
    assert re.fullmatch(r"vsmooth: [^\n]+ is not what its record says: [^\n]+\n", captured.err)
    assert "outside the linf ball" in captured.err


def test_epsilon_zero_is_the_clean_accuracy(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("vs-*")
    assert main(["attack", str(run), *QUICK, "--epsilon", "0"]) == 0
    (record,) = read_robust(run)
    assert record.headline == record.clean
    assert "epsilon 0" in squeezed(capsys.readouterr().out)


def test_more_images_than_there_are_means_all(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("one-hot-*")
    for images in ("500", "all"):
        assert main(["attack", str(run), "--attacks", "pgd", "--no-sanity", "--images", images]) == 0
        assert "all 80 test images" in squeezed(capsys.readouterr().out)
    assert len(read_robust(run)) == 1


@pytest.mark.parametrize(
    ("text", "value"), [("8/255", 8 / 255), ("0.03", 0.03), (".5", 0.5), ("1 / 4", 0.25), ("0", 0.0), ("2e-3", 0.002)]
)
def test_epsilon_is_a_number_or_a_fraction(text: str, value: float) -> None:
    assert parse_radius(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epsilon", "8"], r"epsilon 8 is more than the linf distance .* did you mean 8/255\?"),
        (["--epsilon", "eight"], r"--epsilon takes a number or a fraction such as 8/255, got 'eight'"),
        (["--epsilon", "8/255/2"], r"--epsilon takes a number or a fraction such as 8/255, got '8/255/2'"),
        (["--epsilon", "1/0"], r"--epsilon takes a number or a fraction such as 8/255, got '1/0'"),
        (["--epsilon=-0.1"], r"epsilon must be 0 or a positive number, got -0.1"),
        (["--epsilon", "nan"], r"--epsilon takes a number or a fraction such as 8/255, got 'nan'"),
        (["--norm", "l2", "--epsilon", "128"], r"epsilon 128 is more than the l2 distance .* did you mean 128/255\?"),
        (["--images", "0"], r"images must be at least 1, got 0"),
        (["--batch-size", "0"], r"batch_size must be at least 1, got 0"),
        (["--step-size", "0"], r"step_size must be positive, or None for epsilon / 4, got 0.0"),
        (["--step-size=-0.1"], r"step_size must be positive, or None for epsilon / 4, got -0.1"),
        (["--step-size", "8", "--data", "nowhere"], r"step_size 8 is more than .* did you mean 8/255\?"),
        (["--restarts", "0"], r"restarts must be at least 1, got 0"),
        (["--sanity-images", "0"], r"--sanity-images must be at least 1, got 0; --no-sanity leaves it out"),
        (["--attacks", "transfer"], r"give --transfer-from RUN"),
        (["--attacks", "lambda-sweep"], r"nothing is left to attack with: lambda-sweep"),
        (["--transfer-from", "nowhere"], r"nowhere does not exist; `vsmooth train` makes a run folder"),
        (["--data", "embedded"], r"was trained on other images"),
        (["--verify", "x.safetensors", "--epsilon", "0/0"], r"beside the file: leave out --epsilon, --no-sanity\n"),
    ],
)
def test_mistakes(
    runs: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = runs.glob("one-hot-*")
    assert main(["attack", str(run), "--no-sanity", *options]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"vsmooth: [^\n]+\n", error), error
    assert re.search(message, error), error
    assert not list(run.glob("attack/*/robust.json"))


def test_mistakes_in_the_runs(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = "nowhere.safetensors"
    for words, message in (
        ([], "name a run folder or the --out of a comparison: vsmooth attack RUN"),
        ([str(tmp_path / "nowhere")], "is no run folder and holds none"),
        ([*map(str, runs.glob("*-seed0-*")), "--verify", "x.safetensors"], "--verify judges one file on one run"),
        ([*map(str, runs.glob("one-hot-*")), "--verify", missing], f"no file of adversarial images at {missing}"),
    ):
        assert main(["attack", *words]) == 2
        error = capsys.readouterr().err
        assert re.fullmatch(r"vsmooth: [^\n]+\n", error), error
        assert message in error


def test_images_of_another_file_are_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("one-hot-*")
    save_file({"images": torch.zeros(2, 1, 8, 8)}, tmp_path / "other.safetensors")
    assert main(["attack", str(run), "--verify", str(tmp_path / "other.safetensors")]) == 2
    assert "has no array 'indices'" in capsys.readouterr().err


def test_a_run_without_virtual_classes_does_not_stop_the_others(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attack", str(runs), "--attacks", "lambda-sweep", "--no-sanity", "--images", "12"]) == 0
    text = squeezed(capsys.readouterr().out)
    assert "one-hot, seed 0: left out, it has no virtual classes for lambda-sweep" in text
    assert "Lambda sweep" in text
    assert [len(read_robust(folder)) for folder in sorted(runs.glob("*-seed0-*"))] == [0, 1]


def test_nothing_is_transferred_from_a_run_to_itself(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = runs.glob("vs-*")
    options = ["--transfer-from", str(source), "--no-sanity", "--images", "12"]
    assert main(["attack", str(runs), "--attacks", "pgd", "transfer", *options]) == 0
    assert "VS 0.3, seed 0: images are transferred from this run, not to it" in squeezed(capsys.readouterr().out)
    (plain,), (virtual,) = (read_robust(folder) for folder in sorted(runs.glob("*-seed0-*")))
    assert plain.column("Transfer") is not None
    assert virtual.column("Transfer") is None
    assert virtual.transfer_from == ""
    assert main(["attack", str(source), "--attacks", "transfer", *options]) == 2
    assert "nothing is left to attack with: transfer does not apply to these runs" in capsys.readouterr().err
    with pytest.raises(ValueError, match="is the very network that is attacked: transfer from another run"):
        attack_run(source, load_dataset(read_spec(source).data), AttackOptions(images=12, transfer_from=source))


def test_what_cannot_be_transferred_from(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,), (other,) = runs.glob("one-hot-*"), runs.glob("vs-*")
    assert main(["attack", str(run), "--transfer-from", str(runs)]) == 2
    assert "it is a comparison, name one of its runs" in capsys.readouterr().err
    spec = (other / "spec.json").read_text()
    (other / "spec.json").write_text(re.sub(r'"data_fingerprint": "\w+"', '"data_fingerprint": "ffff"', spec))
    assert main(["attack", str(run), "--attacks", "transfer", "--transfer-from", str(other), "--no-sanity"]) == 2
    error = capsys.readouterr().err
    assert "was trained on other images than toy has now; transfer from a run on the same data" in error


def test_autoattack_is_named_only_where_it_ran(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("one-hot-*")
    assert main(["attack", str(run), "--attacks", "pgd", "aa+", "--images", "10", "--no-sanity"]) == 0
    assert "Without AutoAttack the headline is weaker evidence" in squeezed(capsys.readouterr().out)
    assert read_robust(run)[0].autoattack_version == ""


def test_an_l2_radius_is_no_byte(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("one-hot-*")
    options = ["--attacks", "pgd", "--norm", "l2", "--images", "10"]
    assert main(["attack", str(run), *options, "--epsilon", "1", "--no-sanity"]) == 0
    assert "Under attack: L2, epsilon 1, 10 of 80" in squeezed(capsys.readouterr().out)


def test_judging_again(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = runs.glob("one-hot-*")
    assert main(["attack", str(run), *QUICK]) == 0
    (file,) = run.glob("attack/*/adversarial.safetensors")
    assert file.stat().st_mode == (run / "spec.json").stat().st_mode
    capsys.readouterr()
    for place in (file, file.parent, file.parent / "robust.json"):
        assert main(["attack", str(run), "--verify", str(place)]) == 0
        assert "as the record says" in capsys.readouterr().out
