"""Help that teaches: what each verb does, an example, and the meaning of each option."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch
import tyro
from cli_builders import squeezed

from vsmooth.cli import main
from vsmooth.cli.verb import Verb
from vsmooth.cli.verbs import VERBS
from vsmooth.losses import FORMS

NAMES = ("train", "compare", "distill", "evaluate", "report", "calibrate", "inspect", "attack", "labels", "recipes")


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    text = squeezed(help_of(capsys))
    first = "Virtual smoothing labels against label smoothing and one-hot: train networks, see what the labels do."
    assert first in text  # of all verbs, so it names none
    assert all(f"• {name}" in text for name in NAMES)
    assert tuple(verb.name() for verb in VERBS) == NAMES


@pytest.mark.parametrize("verb", [verb.name() for verb in VERBS])
def test_help_of_each_verb_has_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    text = squeezed(help_of(capsys, verb))
    assert f"Example: vsmooth {verb} " in text
    assert "%%" not in text


@pytest.mark.parametrize("verb", ["train", "distill"])
def test_help_names_every_label(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert f"{FORMS}; see vsmooth labels" in squeezed(help_of(capsys, verb))


@pytest.mark.parametrize("verb", VERBS)
def test_examples_can_be_typed(verb: type[Verb]) -> None:
    (example,) = (line for line in (verb.__doc__ or "").splitlines() if "Example:" in line)
    words = shlex.split(example.partition("Example: vsmooth ")[2])
    assert words[0] == verb.name()
    tyro.cli(verb, args=words[1:], config=(tyro.conf.OmitArgPrefixes,))


def test_no_words_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == help_of(capsys)


def test_version_names_what_the_results_depend_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    own, torch_version, python = capsys.readouterr().out.rstrip("\n").split(", ")
    source = r"\((commit [0-9a-f]{12}\+?|commit unknown|installed)\)"
    assert re.fullmatch(rf"vsmooth {re.escape(version('vsmooth'))} {source}", own)
    assert torch_version == f"torch {torch.__version__}"
    assert python == f"Python {platform.python_version()}"


@pytest.mark.parametrize(
    ("words", "left_out"),
    [
        ("--version", ["accelerate", "tyro", "vsmooth.data", "vsmooth.train", "matplotlib"]),
        ("--help", ["matplotlib", "PIL", "scipy", "timm", "torchvision", "pyarrow", "captum"]),
    ],
)
def test_what_only_prints_imports_little(words: str, left_out: list[str]) -> None:
    code = f"""
import sys
from vsmooth.cli import main
try:
    main([{words!r}])
except SystemExit:
    pass
print([name for name in {left_out!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_training_options_explain_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    text = squeezed(help_of(capsys, "compare"))
    for phrase in (
        f"{FORMS}; with auto for the first value (vs:auto) it is chosen on the validation split",
        "embedded; cifar10, cifar100, svhn, mnist, fashion-mnist (downloaded); a folder of parquet files",
        "one-cycle: 20 % linear rise",
        "--compile, --no-compile",
        "--nesterov, --no-nesterov",
        "--flip, --no-flip",
        "Ctrl-C saves; the same command resumes.",
        "--recipe {None}|STR a setting of the paper",
        "--dry-run, --no-dry-run build everything, time ten steps",
        "--image-size {None}|INT",
        "--mixup FLOAT parameter of the Beta distribution of MixUp",
        "--rand-augment {None}|{INT INT}",
        "--gradient-checkpointing, --no-gradient-checkpointing",
        "--track {None,tensorboard,wandb,mlflow,trackio}",
        "(default: one-hot ls:0.1 vs:0.3)",
    ):
        assert phrase in text
