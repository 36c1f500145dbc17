"""Every field of a run's spec can be set from the command line, or is left out for a reason."""

from __future__ import annotations

from dataclasses import Field, fields

import pytest

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
}
BY_VERB = {"method": "train and compare are standard training, distill is distillation"}
EXCLUDED = {
    "step": "there is one rule, plain steps",
    "split_seed": "all runs hold out the same images, so that they can be compared",
}


def spec_of_train(words: str) -> RunSpec:
    command = parse(["train", "--precision", "fp32", *words.split()])
    assert isinstance(command, Train)
    return command.spec()


@pytest.mark.parametrize("field", fields(RunSpec), ids=lambda field: field.name)
def test_every_field_is_offered_or_excluded(field: Field[object]) -> None:
    places = [field.name in table for table in (OFFERED, BY_VERB, EXCLUDED)]
    assert places.count(True) == 1, f"RunSpec.{field.name}: offer it in an option, or exclude it here with the reason"
    if field.name in OFFERED:
        assert getattr(spec_of_train(OFFERED[field.name]), field.name) != getattr(spec_of_train(""), field.name)


def test_no_field_of_the_tables_is_gone() -> None:
    assert OFFERED.keys() | BY_VERB.keys() | EXCLUDED.keys() == {field.name for field in fields(RunSpec)}


def test_the_verb_is_the_method() -> None:
    comparison, distillation = parse(["compare"]), parse(["distill"])
    assert isinstance(comparison, Compare)
    assert isinstance(distillation, Distill)
    assert (spec_of_train("").method.kind, comparison.plan().base.method.kind) == ("standard", "standard")
    assert distillation.method().kind == "distillation"
