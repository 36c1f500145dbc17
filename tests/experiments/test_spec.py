"""A spec is a value: its hash knows every field, and JSON gives it back."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from vsmooth.data import Augmentation, Mixing
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.labels import LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses import Divergence
from vsmooth.train import Optimization

SPEC = RunSpec("embedded", "small", VirtualSmoothing(0.3))
OTHER: dict[str, Any] = {
    "data": "cifar10",
    "model": "resnet20",
    "label": VirtualSmoothing(0.3, num_virtual=5),
    "seed": 1,
    "epochs": 21,
    "batch_size": 64,
    "optimization": Optimization(learning_rate=0.2),
    "augmentation": Augmentation(flip=False),
    "validation_fraction": 0.2,
    "split_seed": 1,
    "train_limit": 100,
    "precision": "bf16",
    "compile_model": True,
    "image_size": 64,
    "mixing": Mixing(mixup=0.8),
    "drop_path": 0.1,
    "sync_batchnorm": True,
    "distillation": Distillation("0a1b2c3d", gamma=0.9, divergence=Divergence("decoupled", 4.0), views=10, top_k=5),
}
OTHER_OPTIMIZATION: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 0.2,
    "schedule": "step",
    "final_learning_rate": 1e-5,
    "milestones": (0.4,),
    "warmup": 0.1,
    "momentum": 0.8,
    "nesterov": False,
    "weight_decay": 0.0,
    "clip_norm": 1.0,
    "accumulate": 2,
    "ema_decay": 0.99,
}
OTHER_AUGMENTATION: dict[str, Any] = {
    "crop_padding": 2,
    "flip": False,
    "padding_mode": "zeros",
    "resized_crop": (0.08, 1.0),
    "rand_augment": (2, 9),
    "erasing": 0.25,
}
OTHER_MIXING: dict[str, Any] = {"mixup": 0.2, "cutmix": 1.0}
# spec.json as version 0.1.0 wrote it, and the key that it gave the run's folder.
FIRST_SPEC = """{"data": "cifar10", "model": "resnet20", "label": "vs:0.3", "seed": 2, "epochs": 60, "batch_size": 128,
"optimization": {"optimizer": "sgd", "learning_rate": 0.1, "schedule": "step", "milestones": [0.5, 0.75], "warmup": 0.0,
"momentum": 0.9, "nesterov": false, "weight_decay": 0.0001, "clip_norm": null, "accumulate": 1, "ema_decay": null},
"augmentation": {"crop_padding": 4, "flip": true, "padding_mode": "zeros"}, "validation_fraction": 0.1,
"split_seed": 0, "train_limit": 10000, "precision": "bf16", "compile_model": false}"""
FIRST_KEY = "6f8ec669ae"


def variants() -> list[RunSpec]:
    optimizations = [
        replace(SPEC.optimization, **{name: value}) for name, value in OTHER_OPTIMIZATION.items()
    ]
    unpadded = replace(SPEC.augmentation, crop_padding=0)  # a resized crop wants no padding
    augmentations = [
        unpadded,
        *(
            replace(unpadded if name == "resized_crop" else SPEC.augmentation, **{name: value})
            for name, value in OTHER_AUGMENTATION.items()
        ),
    ]
    labels = (OneHot(), LabelSmoothing(0.3), VirtualSmoothing(0.3000001))
    return [
        SPEC,
        *(
            replace(SPEC, **{name: value})
            for name, value in OTHER.items()
            if name not in ("optimization", "augmentation")
        ),
        *(replace(SPEC, optimization=value) for value in optimizations),
        *(replace(SPEC, augmentation=value) for value in augmentations),
        *(replace(SPEC, mixing=Mixing(**{name: value})) for name, value in OTHER_MIXING.items()),
        *(replace(SPEC, label=label) for label in labels),
    ]


def test_the_lists_above_name_every_field() -> None:
    for kind, named in (
        (RunSpec, OTHER),
        (Optimization, OTHER_OPTIMIZATION),
        (Augmentation, OTHER_AUGMENTATION),
        (Mixing, OTHER_MIXING),
    ):
        assert {field.name for field in fields(kind)} == named.keys()


def test_every_field_changes_the_key() -> None:
    keys = [spec.key for spec in variants()]
    assert len(set(keys)) == len(keys)


def test_json_gives_back_the_same_value() -> None:
    for spec in variants():
        again = RunSpec.from_json(json.loads(json.dumps(spec.to_json())))
        assert again == spec
        assert again.key == spec.key


def test_keys_are_those_of_earlier_runs() -> None:
    """A changed default or a changed way to hash would train finished runs again."""
    spec = RunSpec("cifar10", "resnet20", precision="bf16")
    assert spec.folder == "one-hot-seed0-d1ddd9e121"
    assert spec.with_label(VirtualSmoothing(0.3)).folder == "vs-0.3-seed0-faa73de067"


def test_a_spec_of_the_first_version_is_read_and_keeps_its_key() -> None:
    spec = RunSpec.from_json(json.loads(FIRST_SPEC))
    assert spec.key == FIRST_KEY
    assert (spec.epochs, spec.augmentation.padding_mode, spec.optimization.nesterov) == (60, "zeros", False)
    assert (spec.image_size, spec.mixing, spec.drop_path, spec.sync_batchnorm) == (None, Mixing(), 0.0, False)
    assert spec.optimization.final_learning_rate == 0
    assert RunSpec("embedded", "small").key == "1ad143160f"
    assert RunSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec  # as this version writes it


def test_folder_names_can_be_read() -> None:
    found = SPEC.with_label(VirtualSmoothing(0.3, num_virtual=20), seed=4)
    assert found.folder == f"vs-0.3-20-seed4-{found.key}"
    assert len(found.key) == 10


def test_another_label_keeps_the_rest() -> None:
    spec = replace(SPEC, seed=3)
    assert spec.with_label(OneHot()) == replace(spec, label=OneHot())
    assert spec.with_label(OneHot(), 0) == replace(spec, label=OneHot(), seed=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"validation_fraction": 0.0}, r"validation_fraction must be inside \(0, 1\), got 0.0"),
        ({"validation_fraction": 1.0}, r"validation_fraction must be inside \(0, 1\), got 1.0"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"image_size": 0}, "image_size must be at least 1 pixel, got 0"),
        ({"drop_path": 1.0}, r"drop_path must be a probability in \[0, 1\), got 1.0"),
        ({"drop_path": -0.1}, r"drop_path must be a probability in \[0, 1\), got -0.1"),
    ],
)
def test_bad_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SPEC, **values)


@pytest.mark.parametrize(
    "change",
    [
        {"label": "vs:auto"},
        {"label": 3},
        {"optimization": None},
        {"optimization": {"lr": 0.1, "milestones": []}},
        {"augmentation": {"rotate": True}},
        {"mixing": {"mosaic": 1.0}},
        {"mixing": None},
        {"colour": "red"},
    ],
)
def test_json_of_another_version(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the run's spec is of another vsmooth version"):
        RunSpec.from_json({**SPEC.to_json(), **change})
    with pytest.raises(ValueError, match="of another vsmooth version"):
        RunSpec.from_json({})
