"""Every field of a run's spec can be set from the command line, or is left out for a reason."""

from __future__ import annotations

from dataclasses import Field, fields
from operator import attrgetter
from pathlib import Path

import pytest

from vsmooth.cli.method_options import MethodOptions, options_of
from vsmooth.cli.parsing import parse
from vsmooth.cli.verbs.compare import Compare
from vsmooth.cli.verbs.distill import Distill
from vsmooth.cli.verbs.train import Train
from vsmooth.experiments.specs.run_spec import RunSpec

# Words that bring a field to another value than its default.
OFFERED = {
    "data": "--data cifar10",
    "model": "--model resnet20",
    "objective": "--label ls:0.2",
    "seed": "--seed 3",
    "epochs": "--epochs 7",
    "batch_size": "--batch-size 33",
    "optimization": "--learning-rate 0.2",
    "augmentation": "--no-flip",
    "validation_fraction": "--validation-fraction 0.2",
    "train_limit": "--train-limit 100",
    "precision": "--precision bf16",
    "compile_model": "--compile",
    "image_size": "--image-size 64 --data cifar10",
    "mixing": "--mixup 0.4",
    "drop_path": "--model t2t-vit-14 --drop-path 0.1",
    "sync_batchnorm": "--sync-batchnorm",
    "method": "--method trades",
    "step": "--awp 0.005",
}
EXCLUDED = {
    "split_seed": "all runs hold out the same images, so that they can be compared",
}


def spec_of_train(words: str) -> RunSpec:
    command = parse(["train", "--precision", "fp32", *words.split()])
    assert isinstance(command, Train)
    return command.spec()


@pytest.mark.parametrize("field", fields(RunSpec), ids=lambda field: field.name)
def test_every_field_is_offered_or_excluded(field: Field[object]) -> None:
    places = [field.name in table for table in (OFFERED, EXCLUDED)]
    assert places.count(True) == 1, f"RunSpec.{field.name}: offer it in an option, or exclude it here with the reason"
    if field.name in OFFERED:
        assert getattr(spec_of_train(OFFERED[field.name]), field.name) != getattr(spec_of_train(""), field.name)


def test_no_field_of_the_tables_is_gone() -> None:
    assert OFFERED.keys() | EXCLUDED.keys() == {field.name for field in fields(RunSpec)}


# For each option of a method, words that change it; the place of its value in the method's settings is the test's own.
METHOD_OPTIONS = {
    "method": ("--method mart", "kind", "mart"),
    "epsilon": ("--method at --epsilon 4/255", "crafting.epsilon", 4 / 255),
    "attack_steps": ("--method at --attack-steps 3", "crafting.steps", 3),
    "attack_step_size": ("--method trades --attack-step-size 0.01", "crafting.step_size", 0.01),
    "attack_start": ("--method trades --attack-start uniform", "crafting.start", "uniform"),
    "attack_batchnorm": ("--method at --attack-batchnorm train", "crafting.batchnorm", "train"),
    "epsilon_warmup": ("--method at --epsilon-warmup 5", "crafting.epsilon_warmup", 5),
    "fold": ("--method at --no-fold", "crafting.fold", False),
    "craft_precision": ("--method at --craft-precision bf16", "crafting.precision", "bf16"),
    "train_attack": ("--method at --train-attack margin", "attack", "margin"),
    "label_warmup": ("--method trades --label-warmup 20", "label_warmup", 20),
    "watch_images": ("--method at --watch-images 50", "watch.images", 50),
    "watch_steps": ("--method at --watch-steps 5", "watch.steps", 5),
    "patience": ("--method at --patience 4", "watch.patience", 4),
    "beta": ("--method trades --beta 12", "beta", 12.0),
    "attack_logits": ("--method trades --attack-logits hybrid", "logits", "hybrid"),
    "outliers": ("--method oe --outliers places365", "outliers.source", "places365"),
    "outlier_batch_size": ("--method ssl --outlier-batch-size 7", "outliers.batch_size", 7),
    "outlier_limit": ("--method energy --outlier-limit 50", "outliers.limit", 50),
    "outlier_weight": ("--method oe --outlier-weight 0.2", "weight", 0.2),
    "outlier_target": ("--method oe --outlier-target vs2 --label vs:0.05", "target", "vs2"),
    "reject_classes": ("--method ssl --reject-classes 3", "reject", 3),
    "pseudo_label": ("--method ssl --pseudo-label random", "pseudo_label", "random"),
    "energy_low": ("--method energy --energy-low -9", "low", -9.0),
    "energy_high": ("--method energy --energy-high -2", "high", -2.0),
    "energy_logits": ("--method energy --energy-logits all", "energy_logits", "all"),
}
NOT_SETTINGS = {"start_from": "depends on label and seed: test_training_starts_from_the_run_of_its_seed"}


@pytest.mark.parametrize(
    "option", [option for option in fields(MethodOptions) if option.name not in NOT_SETTINGS], ids=attrgetter("name")
)
def test_every_option_of_a_method_reaches_its_settings(option: Field[object]) -> None:
    words, place, value = METHOD_OPTIONS[option.name]
    assert attrgetter(place)(spec_of_train(words).method) == value


def test_the_options_of_a_method_are_those_that_describe_it() -> None:
    for words, _, _ in METHOD_OPTIONS.values():
        method = spec_of_train(words).method
        assert options_of(method).settings() == method


def test_one_step_follows_its_radius() -> None:
    crafting = spec_of_train("--method fast-at --epsilon 4/255").method.crafting
    assert (crafting.steps, crafting.step_size) == (1, pytest.approx(5 / 255))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--beta 6", "--beta does nothing with --method standard: leave it out, or choose --method at, trades or"),
        ("--method at --beta 6", "--beta does nothing with --method at: leave it out"),
        ("--method trades --beta -1", "beta, the weight of the robust term, must be in 0.*, got -1"),
        ("--method at --epsilon 8", r"epsilon is in units of pixels in \[0, 1\], got 8.0; did you mean 8/255"),
        ("--method at --epsilon -0.1", r"epsilon is in units of pixels in \[0, 1\], got -0.1"),
        ("--method at --epsilon eight", "--epsilon takes a number or a fraction such as 8/255, got 'eight'"),
        ("--method at --attack-step-size 2", r"step_size is in units of pixels in \[0, 1\], got 2.0; did you mean"),
        ("--method at --attack-step-size 0", "step_size must be positive"),
        ("--method at --attack-steps 0", "the number of attack steps must be at least 1, got 0"),
        ("--method trades --attack-start clean", "no gradient at the clean image"),
        ("--method at --attack-logits hybrid", "the attacked logits must be one of real, all, got 'hybrid'"),
        ("--method at --train-attack kl-teacher", "the objective of the training attack must be one of ce, kl, margin"),
        ("--method at --mixup 0.4", "leave out MixUp and CutMix"),
        ("--method at --watch-images 0 --patience 3", "patience needs held-out images"),
        ("--method at --craft-precision bf16 --attack-batchnorm train", "crafting in bf16 needs the network in eval"),
        ("--outliers synthetic", "--outliers does nothing with --method standard: leave it out, or choose"),
        ("--method ssl --outlier-target vs2", "--outlier-target does nothing with --method ssl"),
        ("--method energy --attack-logits real", "--attack-logits does nothing with --method energy"),
        ("--method oe --outlier-weight -1", "the weight of the outliers' loss must be 0 or more, got -1"),
        ("--method oe --outlier-batch-size 0", "batch_size must be at least 1, got 0"),
        ("--method ssl --reject-classes 0", "the number of reject classes must be at least 1, got 0"),
        ("--method energy --energy-low 0", "must be bounded below that of outliers, got 0.0 and -5.0"),
        ("--method oe --start-from nowhere", "nowhere is no run folder and holds none"),
        ("--awp -1", "gamma of the weight perturbation must be in"),
        ("--awp-warmup 5", "--awp-warmup and --awp-layers do nothing without --awp"),
    ],
)
def test_settings_that_cannot_be_are_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec_of_train(words)


def test_the_method_of_distillation_is_chosen_by_its_option() -> None:
    kinds = {}
    for words in ("", "--method ard --epsilon 4/255"):
        command = parse(["distill", *words.split()])
        assert isinstance(command, Distill)
        settings = command.settings()
        kinds[settings.kind] = settings.divergence.tau
    assert kinds == {"distillation": 30.0, "ard": 1.0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--method ard --cache-teacher 3", "--cache-teacher does nothing with --method ard"),
        ("--method ard --logits all", "--logits does nothing with --method ard"),
        ("--epsilon 8/255", "--epsilon does nothing with --method kd"),
        ("--method ard --train-attack margin", "the attack on the student must be one of kl, kl-teacher, ce"),
    ],
)
def test_options_of_the_other_distillation_are_refused(words: str, message: str) -> None:
    command = parse(["distill", *words.split()])
    assert isinstance(command, Distill)
    with pytest.raises(ValueError, match=message):
        command.settings()


def test_training_starts_from_the_run_of_its_seed(trained: Path) -> None:
    """Of a comparison with two labels, and of one run, which serves every label; no other method starts from one."""
    (virtual,), (one_hot,) = (tuple(trained.glob(f"{name}-*")) for name in ("vs", "one-hot"))
    words = f"--method oe --start-from {trained} --label"
    for text, folder in (("vs:0.3", virtual), ("one-hot", one_hot)):
        initial = spec_of_train(f"{words} {text}").method.initial
        assert initial is not None
        assert (Path(initial.run), len(initial.digest)) == (folder, 16)
    comparison = parse(["compare", "--method", "ssl", "--start-from", str(one_hot)])
    assert isinstance(comparison, Compare)
    plan = comparison.plan()
    assert {plan.spec(objective, 3).method.initial.run for objective in plan.objectives} == {str(one_hot)}
    with pytest.raises(ValueError, match="only trainings with outliers start from a finished run"):
        spec_of_train(f"--start-from {one_hot}")
