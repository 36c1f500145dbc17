"""What holds for every attack there is: ball, bounds, decisions, seeds, where it may be called; and bad input."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from attack_builders import CLASSES, THREATS, VIRTUAL, every_attack, images_and_labels, network, target_of
from torch import Tensor

import vsmooth.attacks
from vsmooth.attacks import (
    FGSM,
    PGD,
    AdaptiveMargin,
    Attack,
    LambdaSweep,
    MultiTargetPGD,
    Target,
    ThreatModel,
    Transfer,
    cw20,
)

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
class Wrong(Careless):
    """Gives images of another shape."""

    def _craft(self, *arguments: Any) -> Tensor:
        return arguments[1][:, :1]


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


def test_bad_images_and_labels_are_named() -> None:
    target = target_of(network(), CLASSES)
    images, labels = images_and_labels(target)
    threat = ThreatModel()

    def refused(images: Tensor, labels: Tensor, message: str, **more: Any) -> None:
        with pytest.raises(ValueError, match=message):
            FGSM()(target, images, labels, more.pop("threat", threat), **more)

    refused(2 * images, labels, r"images must lie in \[0, 1\], got 0 to 2")
    refused((images - 0.5) / 0.25, labels, r"got -2 to 2: .*before normalisation, which belongs into the model")
    refused(255 * images, labels, "bytes divided by 255")
    refused(torch.full_like(images, math.nan), labels, r"images must lie in \[0, 1\], got nan")
    refused(images[0], labels, r"floating point \(N, C, H, W\), got torch.float32 \(3, 6, 6\)")
    refused((255 * images).byte(), labels, "floating point .* got torch.uint8")
    refused(images[:0], labels[:0], "images are empty")
    refused(images, labels + CLASSES, r"target \d is out of range: class indices must be in 0\.\.3")
    refused(images, labels - 4, r"target -\d is out of range")
    refused(images, labels[:-1], r"labels must be class indices \(12,\), one for each image, got torch.int64 \(11,\)")
    refused(images, labels.float(), r"labels must be class indices .* got torch.float32")
    refused(images, labels > 0, r"labels must be class indices .* got torch.bool")
    refused(images, labels, r"right must be bool \(12,\), .* got torch.int64", right=labels)
    refused(images, labels, r"epsilon 128 is more than the l2 distance .* 10.39", threat=ThreatModel("l2", 128.0))
    with pytest.raises(ValueError, match=r"careless gave images \(10, 1, 6, 6\) for \(10, 3, 6, 6\)"):
        Wrong()(target, images, labels, threat)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PGD(steps=0), "steps must be a whole number of at least 1, got 0"),
        (lambda: PGD(steps=2.5), "steps must be a whole number of at least 1, got 2.5"),  # type: ignore[arg-type]
        (lambda: PGD(step_size=0.0), "step_size must be positive, or None .* got 0.0"),
        (lambda: PGD(step_size=math.nan), "step_size must be positive, or None .* got nan"),
        (lambda: PGD(restarts=0), "restarts must be a whole number of at least 1, got 0"),
        (lambda: PGD("cw"), "objective must be one of ce, kl, margin, dlr .* got 'cw'"),  # type: ignore[arg-type]
        (lambda: PGD(rule="linear"), "rule must be one of constant, cosine, momentum, got 'linear'"),  # type: ignore[arg-type]
        (lambda: PGD(keep="all"), "keep must be one of last, best, got 'all'"),  # type: ignore[arg-type]
        (lambda: PGD("kl"), "objective 'kl' needs random_start=True: its gradient at the clean image is zero"),
        (lambda: FGSM("kl"), "the gradient of 'kl' is zero: use 'ce' or 'margin'"),
        (lambda: MultiTargetPGD(targets=0), "targets must be a whole number of at least 1, got 0"),
        (lambda: MultiTargetPGD(steps=0), "steps must be"),
        (lambda: MultiTargetPGD(restarts=0), "restarts must be"),
        (lambda: LambdaSweep(lambdas=()), "lambdas must name at least one weight"),
        (lambda: LambdaSweep(lambdas=(0, -1)), "lambda must be 0 or a positive number, got -1"),
        (lambda: LambdaSweep(restarts=0), "restarts must be"),
        (lambda: AdaptiveMargin(math.inf), "lambda must be 0 or a positive number, got inf"),
    ],
)
def test_bad_settings_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_settings_that_do_not_fit_the_target_are_named() -> None:
    real, images = target_of(network(virtual=0), CLASSES), torch.rand(4, 3, 6, 6)
    labels = real.decide(images).argmax(1)
    for attack in (LambdaSweep(), PGD(AdaptiveMargin())):
        with pytest.raises(ValueError, match='needs K \\+ V logits, got 4 for 4 real classes: attack the view "all"'):
            attack(real, images, labels, ThreatModel())
    two = target_of(network(classes=2, virtual=0), 2)
    with pytest.raises(ValueError, match="the DLR loss needs 3 classes or more, got 2; use the margin instead"):
        PGD("dlr")(two, images, two.decide(images).argmax(1), ThreatModel())
    with pytest.raises(ValueError, match=r"step_size 2 is more than the linf .* did you mean 2/255\?"):
        PGD(step_size=2)(real, images, labels, ThreatModel())
    assert VIRTUAL > 0
