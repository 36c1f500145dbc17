"""Every numeric option of every verb at absurd values: a message that says what to do, never a traceback or a hang."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from fuzz_limits import limited

from vsmooth.cli import main
from vsmooth.cli.verbs import VERBS

VALUES = ("0", "-1", "1e308", "-1e308", "nan", "inf", str(10**9), str(10**18), "abc", "")

# Numbers inside words, which the types do not tell; "#" is where the value goes.
WORDS = {
    "train": [("label", "ls:#"), ("label", "vs:#"), ("label", "vs:0.3:#"), ("label", "focal:#"), ("label", "mbls:6:#")],
    "compare": [("labels", "vs:0.1:#")],
    "distill": [("label", "vs:#"), ("label", "vs:0.1:#")],
    "attack": [("epsilon", "#"), ("epsilon", "#/255"), ("epsilon", "8/#"), ("images", "#")],
}
BILLION, QUINTILLION = str(10**9), str(10**18)
# Left on purpose: reasonable, a case of "all of them", or a question to the data (test_numbers_that_the_data_decide).
ACCEPTED = {
    "0": {
        "seed", "weight_decay", "final_learning_rate", "warmup", "momentum", "crop_padding", "erasing", "mixup",
        "cutmix", "drop_path", "workers", "gamma", "target_weight", "other_weight", "shift_images",
        "label ls:#", "label vs:#", "label focal:#", "label mbls:6:#", "epsilon #", "epsilon #/255",
        "outlier_weight", "energy_high", "awp", "awp_warmup",
    },
    "-1": {"shift_images", "energy_high"},
    "1e308": {"epsilon 8/#"},
    BILLION: {
        "seed", "train_limit", "shift_images", "images", "images #", "sanity_images", "epsilon 8/#", "outlier_limit",
    },
    QUINTILLION: {"shift_images", "epsilon 8/#"},
}


class Accepted(Exception):
    """The words are understood: the images would be read now."""


@dataclasses.dataclass(frozen=True)
class Option:
    """One numeric option: its verb, its field, and the words before and after the value."""

    verb: str
    field: str
    words: tuple[str, ...]

    def typed(self, value: str) -> list[str]:
        name, *others = (word.replace("#", value) for word in self.words)
        return [f"{name}={others[0]}", *others[1:]]

    def is_named(self, message: str, value: str) -> bool:
        """Whether a message tells which option, or which value, it is about."""
        name = self.field.split()[0]
        told = {name, name.replace("_", "-"), value or "''"}
        with suppress(ValueError):
            told.add(str(float(value)))
        return any(word in message for word in told)


def numbers_of(hint: Any) -> int:
    """How many numbers a field takes: 0 for none, 2 for a pair."""
    if hint in (int, float):
        return 1
    parts = [part for part in get_args(hint) if part not in (type(None), ...)]
    counts = [numbers_of(part) for part in parts]
    return sum(counts) if "tuple" in str(hint).split("[")[0] else max(counts, default=0)


def options_of(verb: str, kind: type, seen: set[tuple[str, str]]) -> Iterator[Option]:
    """Each option once, under the first verb that has it: the others share its value and its check."""
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from options_of(verb, hint, seen)  # type: ignore[arg-type]
            continue
        bases = reversed(kind.__mro__)
        owner = next(base.__name__ for base in bases if field.name in getattr(base, "__annotations__", {}))
        count = numbers_of(hint)
        if count and (owner, field.name) not in seen:
            seen.add((owner, field.name))
            yield Option(verb, field.name, ("--" + field.name.replace("_", "-"), *["#"] * count))


def all_options() -> list[Option]:
    seen: set[tuple[str, str]] = set()
    found = [option for verb in VERBS for option in options_of(verb.name(), verb, seen)]
    for verb, pairs in WORDS.items():
        found += [Option(verb, f"{name} {text}", (f"--{name}", text)) for name, text in pairs]
    return found


@pytest.fixture(scope="module")
def logits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logits") / "logits.npz"
    generator = np.random.default_rng(0)
    np.savez(path, logits=generator.normal(size=(30, 3)), labels=generator.integers(0, 3, 30))
    return path


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """"accepted", or what was printed; AssertionError for anything but a message that fits."""
    try:
        with limited():
            status = main(words)
    except Accepted:
        return "accepted"
    except SystemExit as stopped:  # a word that is no number: tyro's own message
        status = stopped.code
        found = capsys.readouterr().err
        assert (status, "error" in found.lower()) == (2, True), found
        return found
    found = capsys.readouterr().err
    if status == 0:
        return "accepted"
    assert status == 2
    assert re.fullmatch(r"vsmooth: [^\n]+\n", found), found
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
def test_every_numeric_option(
    trained: Path, logits: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise Accepted

    monkeypatch.setattr("vsmooth.data.load_dataset", read)
    run, decoupled = [str(trained)], ["--divergence", "decoupled"]
    exposed, bounded = ["--method", "oe"], ["--method", "energy"]
    before = {
        "calibrate": [str(logits)], "inspect": run, "attack": run,
        "shift_images": [*run, "--shift", "--resamples", "40"],
        "target_weight": decoupled, "other_weight": decoupled,
        "outlier_batch_size": exposed, "outlier_limit": exposed, "outlier_weight": exposed,
        "energy_low": bounded, "energy_high": bounded, "reject_classes": ["--method", "ssl"],
    }
    tried, wrong = 0, []
    for option in all_options():
        for value in VALUES:
            words = [option.verb, *before.get(option.field, before.get(option.verb, [])), *option.typed(value)]
            tried += 1
            try:
                found = answer(words, capsys)
            except BaseException as error:
                wrong.append(f"{' '.join(words)}: {type(error).__name__}: {error}")
                continue
            expected = option.field in ACCEPTED.get(value, ())
            if (found == "accepted") != expected or not (expected or option.is_named(found, value)):
                wrong.append(f"{' '.join(words)}: {found}")
    assert wrong == [], "\n".join([f"{len(wrong)} of {tried}", *wrong])
    assert tried > 500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--train-limit", BILLION], "can keep 2 to 160 train images, not 1000000000"),
        (["train", "--crop-padding", "4096"], "crop_padding=4096 does not fit images of 8x8 pixels"),
        (["train", "--batch-size", "1000000"], "batch_size 1000000 is larger than the split of 144 images"),
        (["train", "--accumulate", "1000000"], "accumulate=1000000 is more than"),
        (["calibrate", "RUNS", "--shift", "--shift-images", "0"], "1 to 80 images, got"),
        (["calibrate", "RUNS", "--shift", "--shift-images", QUINTILLION], "1 to 80 images, got"),
        (["inspect", "RUNS", "--images", BILLION], r"images must be 2 to 80 \(the test images\), got 1000000000"),
        (["inspect", "RUNS", "--samples", "10000"], r"samples must be 1 to 80 \(the test images\), got 10000"),
    ],
)
def test_numbers_that_the_data_decide(
    trained: Path, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    data = [] if "RUNS" in words else ["--data", str(toy_folder), "--out", str(tmp_path), "--batch-size", "36"]
    words = [words[0], *data, *(str(trained) if word == "RUNS" else word for word in words[1:])]
    assert re.search(message, answer(words, capsys))


def test_accepted_numbers_build_a_training(toy_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is left on purpose of 0 and of a billion, at once."""
    zeros = ["weight-decay", "final-learning-rate", "warmup", "momentum", "crop-padding", "erasing", "mixup", "cutmix"]
    words = [f"--{name}=0" for name in (*zeros, "drop-path", "workers")]
    words += [f"--seed={BILLION}", "--label=vs:0", "--data", str(toy_folder), "--batch-size=36", "--precision=fp32"]
    assert answer(["train", "--dry-run", *words], capsys) == "accepted"
