"""Help that teaches: what each verb does, an example, and the meaning of each option."""

from __future__ import annotations

import shlex

import pytest
import tyro
from cli_builders import squeezed

from vsmooth.cli import main
from vsmooth.cli.analysis_options import Attack, Calibrate, Inspect
from vsmooth.cli.options import Compare, Distill, Evaluate, Recipes, Report, Train

VERBS = ("train", "compare", "distill", "evaluate", "report", "calibrate", "inspect", "attack", "recipes")
KINDS = (Train, Compare, Distill, Evaluate, Report, Calibrate, Inspect, Attack, Recipes)


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    text = squeezed(help_of(capsys))
    first = "Virtual smoothing labels against label smoothing and one-hot: train networks, see what the labels do."
    assert first in text  # of all verbs, so it names none
    assert all(f"• {verb}" in text for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_has_an_example(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    text = squeezed(help_of(capsys, verb))
    assert f"Example: vsmooth {verb} " in text
    assert "%%" not in text


@pytest.mark.parametrize(("verb", "kind"), list(zip(VERBS, KINDS, strict=True)))
def test_examples_can_be_typed(verb: str, kind: type) -> None:
    (example,) = (line for line in (kind.__doc__ or "").splitlines() if "Example:" in line)
    words = shlex.split(example.partition("Example: vsmooth ")[2])
    assert words[0] == verb
    tyro.cli(kind, args=words[1:], config=(tyro.conf.OmitArgPrefixes,))


def test_training_options_explain_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    text = squeezed(help_of(capsys, "compare"))
    for phrase in (
        "ls:auto and vs:auto choose alpha on the validation split",
        "embedded; cifar10, cifar100, svhn, mnist, fashion-mnist (downloaded); a folder of parquet files",
        "one-cycle: 20 % linear rise",
        "--compile, --no-compile",
        "--nesterov, --no-nesterov",
        "--flip, --no-flip",
        "Ctrl-C saves; the same command resumes.",
        "--recipe {None}|STR a setting of the paper",
        "--dry-run, --no-dry-run build one run, time ten steps",
        "--image-size {None}|INT",
        "--mixup FLOAT parameter of the Beta distribution of MixUp",
        "--rand-augment {None}|{INT INT}",
        "--gradient-checkpointing, --no-gradient-checkpointing",
        "--track {None,tensorboard,wandb,mlflow,trackio}",
        "(default: one-hot ls:0.1 vs:0.3)",
    ):
        assert phrase in text
