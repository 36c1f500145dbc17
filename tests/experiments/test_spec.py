"""A spec is a value: its hash knows every field, and JSON gives it back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from vsmooth.data import Augmentation, Mixing
from vsmooth.experiments.specs.distillation import Distillation
from vsmooth.experiments.specs.run_spec import CONVERTER, SCHEMA, RunSpec
from vsmooth.losses import Divergence
from vsmooth.losses.catalogue import parse_objective
from vsmooth.records.serialisation import from_plain, to_plain
from vsmooth.train import Optimization

SPEC = RunSpec("embedded", "small", parse_objective("vs:0.3"))
OTHER: dict[str, Any] = {
    "data": "cifar10",
    "model": "resnet20",
    "objective": parse_objective("vs:0.3:5"),
    "method": Distillation("0a1b2c3d", gamma=0.9, divergence=Divergence("decoupled", 4.0), views=10, top_k=5),
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


def variants() -> list[RunSpec]:
    read_by = {"milestones": "step", "warmup": "cosine"}  # not by the usual schedule
    optimizations = [
        *(Optimization(schedule=schedule) for schedule in ("cosine", "constant")),
        *(
            replace(SPEC.optimization, **{"schedule": read_by.get(name, SPEC.optimization.schedule), name: value})
            for name, value in OTHER_OPTIMIZATION.items()
        ),
    ]
    unpadded = replace(SPEC.augmentation, crop_padding=0)  # a resized crop wants no padding
    augmentations = [
        unpadded,
        *(
            replace(unpadded if name == "resized_crop" else SPEC.augmentation, **{name: value})
            for name, value in OTHER_AUGMENTATION.items()
        ),
    ]
    objectives = map(parse_objective, ("one-hot", "ls:0.3", "vs:0.3000001"))
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
        *(replace(SPEC, objective=objective) for objective in objectives),
    ]


def test_the_lists_above_name_every_field() -> None:
    for kind, named in (
        (RunSpec, OTHER),
        (Optimization, OTHER_OPTIMIZATION),
        (Augmentation, OTHER_AUGMENTATION),
        (Mixing, OTHER_MIXING),
    ):
        single = {"step"}  # one step rule so far: it has no other value
        assert {field.name for field in fields(kind)} - single == named.keys()


def test_every_field_changes_the_key() -> None:
    keys = [spec.key for spec in variants()]
    assert len(set(keys)) == len(keys)


def test_json_gives_back_the_same_value() -> None:
    for spec in variants():
        again = from_plain(RunSpec, json.loads(json.dumps(spec.to_json())), CONVERTER)
        assert again == spec
        assert again.key == spec.key


def test_keys_do_not_change_by_accident() -> None:
    """A changed default or a changed way to hash would train finished runs again."""
    spec = RunSpec("cifar10", "resnet20", precision="bf16")
    assert spec.folder == "one-hot-seed0-479b15a18c"
    assert spec.with_objective(parse_objective("vs:0.3")).folder == "vs-0.3-seed0-0544b3c071"


def test_fields_at_their_defaults_have_no_part_in_the_key() -> None:
    """Another default would be another experiment, and so another schema; a new field leaves older keys alone."""
    canonical = json.dumps({"schema": SCHEMA, "data": "embedded", "model": "small"}, sort_keys=True)
    assert RunSpec("embedded", "small").key == hashlib.sha256(canonical.encode()).hexdigest()[:10]


def test_methods_have_keys_and_names_of_their_own() -> None:
    plain, taught = SPEC, replace(SPEC, method=Distillation("abc"))
    other = replace(SPEC, method=Distillation("abc", divergence=Divergence(tau=4.0)))
    assert len({plain.key, taught.key, other.key}) == 3
    assert taught.folder == f"kd-vs-0.3-seed0-{taught.key}"


def test_folder_names_can_be_read() -> None:
    found = SPEC.with_objective(parse_objective("vs:0.3:20"), seed=4)
    assert found.folder == f"vs-0.3-20-seed4-{found.key}"
    assert len(found.key) == 10


def test_another_label_keeps_the_rest() -> None:
    spec = replace(SPEC, seed=3)
    one_hot = parse_objective("one-hot")
    assert spec.with_objective(one_hot) == replace(spec, objective=one_hot)
    assert spec.with_objective(one_hot, 0) == replace(spec, objective=one_hot, seed=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"validation_fraction": 0.0}, r"validation_fraction must be inside \(0, 1\), got 0.0"),
        ({"validation_fraction": 1.0}, r"validation_fraction must be inside \(0, 1\), got 1.0"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"drop_path": 1.0}, r"drop_path must be a probability in \[0, 1\), got 1.0"),
        ({"drop_path": -0.1}, r"drop_path must be a probability in \[0, 1\), got -0.1"),
    ],
)
def test_bad_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SPEC, **values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": "vs:auto"}, "objective: 'vs:auto' asks for a choice"),
        ({"objective": 3}, "objective: expected text, got 3"),
        ({"optimization": None}, "optimization: expected"),
        ({"optimization": {"lr": 0.1, "milestones": []}}, "optimization"),
        ({"augmentation": {"rotate": True}}, "augmentation"),
        ({"method": {"kind": "magic"}}, "method.kind: expected 'standard' or 'distillation'.*, got 'magic'"),
        ({"mixing": {"mosaic": 1.0}}, "mixing"),
        ({"epochs": "20"}, "epochs: expected"),
        ({"epochs": 0}, "epochs"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"augmentation": to_plain(Augmentation()) | {"resized_crop": [0.1]}}, r"resized_crop: expected 2 values, got"),
        ({"augmentation": to_plain(Augmentation()) | {"rand_augment": [2, "x"]}}, r"rand_augment\[1\]: expected"),
    ],
)
def test_damaged_json(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_plain(RunSpec, {**SPEC.to_json(), **change}, CONVERTER)
