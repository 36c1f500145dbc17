"""What holds for every attack there is: ball, bounds, decisions, seeds, where it may be called."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from attack_builders import CLASSES, THREATS, every_attack, images_and_labels, network, target_of
from torch import Tensor

import vsmooth.attacks
from vsmooth.attacks import PGD, Attack, MultiTargetPGD, Target, ThreatModel, Transfer, cw20

ATTACKS = every_attack()
ELSEWHERE = {"AutoAttackMember"}  # tested with the package that it bridges to


@dataclass(frozen=True)
class Careless(Attack):
    """Leaves the ball, the bounds and the numbers, and hands back a graph."""

    @property
    def name(self) -> str:
        return "careless"

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        far = (images + 5 * torch.randn(images.shape, generator=generator)).double().requires_grad_() * 1
        return torch.where(torch.rand(images.shape, generator=generator) < 0.1, math.nan, far)


@dataclass(frozen=True)
class Inside(Careless):
    """Stays inside the ball, at places that a projection by way of the difference would round."""

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        return torch.where(images < 0.28, 1e-7 * images, images)


def test_every_attack_of_the_package_is_tried() -> None:
    for module in pkgutil.iter_modules(vsmooth.attacks.__path__, "vsmooth.attacks."):
        importlib.import_module(module.name)

    def below(kind: type) -> set[type]:
        return {found for child in kind.__subclasses__() for found in {child, *below(child)}}

    ours = {kind.__name__ for kind in below(Attack) if kind.__module__.startswith("vsmooth.")}
    assert ours - ELSEWHERE == {type(attack).__name__ for attack in ATTACKS}


@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize("attack", [*ATTACKS, Careless()], ids=lambda attack: attack.name)
def test_ball_bounds_decisions_and_seeds(attack: Attack, threat: ThreatModel) -> None:
    target = target_of(network(), CLASSES)
    images, labels = images_and_labels(target)
    before = images.clone()
    found = attack(target, images, labels, threat, seed=7)
    delta = (found.images.double() - images.double()).flatten(1)
    length = delta.abs().amax(1) if threat.norm == "linf" else delta.norm(dim=1)
    assert (length <= threat.epsilon + 1e-6).all()
    assert threat.contains(found.images, images).all()
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    assert found.images.dtype == torch.float32
    assert found.images.shape == images.shape
    assert not found.images.requires_grad
    assert torch.equal(found.fooled, target.decide(found.images).argmax(1) != labels)
    assert found.fooled[-2:].all()
    assert torch.equal(found.images[-2:], images[-2:])
    assert not torch.equal(found.images[:-2], images[:-2])
    assert torch.equal(images, before)
    again = attack(target, images, labels, threat, seed=7)
    assert torch.equal(again.images, found.images)
    assert torch.equal(again.fooled, found.fooled)


@pytest.mark.parametrize("attack", [*ATTACKS, Careless()], ids=lambda attack: attack.name)
def test_epsilon_zero_is_the_clean_model(attack: Attack) -> None:
    target = target_of(network(), CLASSES)
    images, labels = images_and_labels(target)
    for norm in ("linf", "l2"):
        found = attack(target, images, labels, ThreatModel(norm, 0.0))
        assert torch.equal(found.images, images)
        assert found.images.data_ptr() != images.data_ptr()
        assert torch.equal(found.fooled, ~target.right(images, labels))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_images_inside_the_ball_come_back_bit_for_bit(norm: Any) -> None:
    target = target_of(network(), CLASSES)
    images, labels = images_and_labels(target)
    threat, right = ThreatModel(norm, 0.3 if norm == "linf" else 3.0), images[:-2]
    crafted = Inside()._craft(target, right, labels, threat, torch.Generator().manual_seed(5))
    assert not torch.equal(threat.project(crafted, right), crafted)
    assert torch.equal(Inside()(target, images, labels, threat, seed=5).images[:-2], crafted)


def test_another_seed_is_another_start() -> None:
    target = target_of(network(), CLASSES)
    images, labels = images_and_labels(target)
    attack = PGD(steps=1, step_size=1e-4, random_start=True)
    first, second = (attack(target, images, labels, ThreatModel(), seed=seed).images for seed in (0, 1))
    assert (first - second).abs().max() > 0.01
    torch.manual_seed(99)  # the global stream is neither read nor moved
    state = torch.get_rng_state()
    assert torch.equal(attack(target, images, labels, ThreatModel(), seed=0).images, first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_grad_and_inference_mode_are_no_obstacle(attack: Attack) -> None:
    target = target_of(network(), CLASSES)
    images, labels = images_and_labels(target)
    expected = attack(target, images, labels, ThreatModel())
    with torch.no_grad():
        assert torch.equal(attack(target, images, labels, ThreatModel()).images, expected.images)
    with torch.inference_mode():
        found = attack(target, images.clone(), labels.clone(), ThreatModel())
    assert torch.equal(found.images, expected.images)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_settings_are_values_that_a_record_can_hold(attack: Attack) -> None:
    settings = attack.settings()
    assert json.loads(json.dumps(settings)) == settings
    assert hash(attack) == hash(attack)
    if isinstance(attack, PGD):
        assert settings["steps"] == attack.steps
    if isinstance(attack, Transfer):
        assert "source" not in settings
        assert settings["attack"]["name"] == "PGD-3"


def test_names_tell_attacks_apart() -> None:
    names = [attack.name for attack in ATTACKS if attack != PGD(steps=2, step_size=1.0)]
    assert len(set(names)) == len(names)
    assert {"FGSM", "PGD-3", "CW-20", "MT-3 x2", "lambda sweep-3", "PGD-3 from another model"} <= set(names)


@pytest.mark.parametrize("attack", [PGD("ce"), cw20(), PGD("margin", keep="best"), MultiTargetPGD(steps=5)], ids=str)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_nan_and_missing_gradients_end_nothing(attack: Attack, norm: Any) -> None:
    """The square root has the gradient NaN (0 times infinity) at a black pixel: the other pixels still count."""
    slopes, offsets = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, -0.05, -9.0])

    def logits(images: Tensor) -> Tensor:
        black, grey = images.flatten(1).split(1, 1)
        return 0 * black.sqrt() + (grey - 0.5) * slopes + offsets

    images, labels = torch.tensor([0.0, 0.5]).view(1, 1, 1, 2), torch.tensor([0])
    target, threat = target_of(logits, 3), ThreatModel(norm, 0.1)
    assert not torch.autograd.functional.jacobian(logits, images).isfinite().all()
    found = attack(target, images, labels, threat)
    assert found.fooled.all()
    assert found.images.isfinite().all()


def test_a_constant_classifier_stands_and_its_ties_are_decided_once() -> None:
    target = target_of(lambda images: 0 * images.flatten(1)[:, :3], 3)
    images, labels = torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 0])
    for attack in (PGD(), cw20(), PGD("dlr", keep="best"), MultiTargetPGD(steps=2)):
        assert attack(target, images, labels, ThreatModel()).fooled.tolist() == [False, True, False]


def test_transfer_never_asks_the_target_for_a_gradient() -> None:
    def refuse(images: Tensor) -> Tensor:
        raise AssertionError("crafted on the target")

    model = network(virtual=0)
    own, hidden = target_of(model, CLASSES), Target(CLASSES, refuse, model)
    images, labels = images_and_labels(own)
    expected = cw20()(own, images, labels, ThreatModel(epsilon=0.1))
    found = Transfer(own, cw20(), "itself")(hidden, images, labels, ThreatModel(epsilon=0.1))
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.fooled, expected.fooled)
    with pytest.raises(ValueError, match="must have the same classes, got 2 and 4"):
        Transfer(target_of(model, 2), cw20())(own, images, labels, ThreatModel())
