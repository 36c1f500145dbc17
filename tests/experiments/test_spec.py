"""A spec is a value: its hash knows every field, and JSON gives it back."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from vsmooth.data import Augmentation
from vsmooth.experiments.spec import RunSpec
from vsmooth.labels import LabelSmoothing, OneHot, VirtualSmoothing
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
}
OTHER_OPTIMIZATION: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 0.2,
    "schedule": "step",
    "milestones": (0.4,),
    "warmup": 0.1,
    "momentum": 0.8,
    "nesterov": False,
    "weight_decay": 0.0,
    "clip_norm": 1.0,
    "accumulate": 2,
    "ema_decay": 0.99,
}
OTHER_AUGMENTATION: dict[str, Any] = {"crop_padding": 2, "flip": False, "padding_mode": "zeros"}


def variants() -> list[RunSpec]:
    optimizations = [
        replace(SPEC.optimization, **{name: value}) for name, value in OTHER_OPTIMIZATION.items()
    ]
    augmentations = [
        replace(SPEC.augmentation, **{name: value}) for name, value in OTHER_AUGMENTATION.items()
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
        *(replace(SPEC, label=label) for label in labels),
    ]


def test_the_lists_above_name_every_field() -> None:
    for kind, named in (
        (RunSpec, OTHER),
        (Optimization, OTHER_OPTIMIZATION),
        (Augmentation, OTHER_AUGMENTATION),
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
    spec = RunSpec("../shared/data/cifar10", "resnet20", precision="bf16")
    assert spec.folder == "one-hot-seed0-fd2dbb8ea3"
    assert spec.with_label(VirtualSmoothing(0.3)).folder == "vs-0.3-seed0-900d551c60"


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
        {"colour": "red"},
    ],
)
def test_json_of_another_version(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the run's spec is of another vsmooth version"):
        RunSpec.from_json({**SPEC.to_json(), **change})
    with pytest.raises(ValueError, match="of another vsmooth version"):
        RunSpec.from_json({})
