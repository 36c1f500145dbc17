"""PGD against a loop written by hand and against torchattacks; rules, restarts, what keeps the best."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attack_builders import CLASSES, images_and_labels, network, target_of
from torch import Tensor

from vsmooth.attacks import FGSM, PGD, Target, ThreatModel, cw20, input_gradient, make_aim

THREAT = ThreatModel("linf", 0.1)


def clean_target(virtual: int = 0) -> Target:
    return target_of(network(virtual=virtual), CLASSES)


def right_only(target: Target, count: int = 16) -> tuple[Tensor, Tensor]:
    images, labels = images_and_labels(target, count + 2)
    return images[:count], labels[:count]


def loss_by_hand(name: str, z: Tensor, y: Tensor, clean: Tensor) -> Tensor:
    """Sums over the samples, one after the other."""
    total = z.new_zeros(())
    for row, label, before in zip(z, y.tolist(), clean, strict=True):
        others = torch.cat([row[:label], row[label + 1 :]]).max()
        ranked = row.sort(descending=True).values
        total = total + {
            "ce": -row.log_softmax(0)[label],
            "kl": (before.softmax(0) * (before.log_softmax(0) - row.log_softmax(0))).sum(),
            "margin": others - row[label],
            "dlr": (others - row[label]) / (ranked[0] - ranked[2]),
        }[name]
    return total


def pgd_by_hand(
    target: Target, name: str, images: Tensor, labels: Tensor, start: Tensor, threat: ThreatModel, sizes: list[float]
) -> Tensor:
    x, clean = start.clone(), target.craft(images)
    for size in sizes:
        x = x.detach().requires_grad_()
        loss_by_hand(name, target.craft(x), labels, clean).backward()
        assert x.grad is not None
        step = torch.empty_like(x)
        for row, gradient in enumerate(x.grad):
            step[row] = gradient.sign() if threat.norm == "linf" else gradient / max((gradient**2).sum().sqrt(), 1e-30)
        x = (x + size * step).detach()
        delta = x - images
        if threat.norm == "linf":
            delta = delta.clamp(-threat.epsilon, threat.epsilon)
        else:
            for row in range(len(delta)):
                delta[row] *= min(1.0, threat.epsilon / (delta[row] ** 2).sum().sqrt().item())
        x = (images + delta).clamp(0, 1)
    return x


@pytest.mark.parametrize("objective", ["ce", "margin", "dlr"])
@pytest.mark.parametrize("threat", [THREAT, ThreatModel("l2", 0.5)], ids=str)
@pytest.mark.parametrize("virtual", [0, 3])
def test_against_a_loop_written_by_hand(objective: Any, threat: ThreatModel, virtual: int) -> None:
    target = clean_target(virtual)
    images, labels = right_only(target)
    expected = pgd_by_hand(target, objective, images, labels, images, threat, [0.02] * 10)
    found = PGD(objective, steps=10, step_size=0.02)(target, images, labels, threat)
    torch.testing.assert_close(found.images, expected, atol=1e-5, rtol=0)
    assert torch.equal(found.fooled, target.decide(expected).argmax(1) != labels)


def test_kl_from_a_random_start_against_the_loop() -> None:
    target = clean_target()
    images, labels = right_only(target)
    start = THREAT.random_start(images, torch.Generator().manual_seed(4))
    expected = pgd_by_hand(target, "kl", images, labels, start, THREAT, [0.02] * 6)
    found = PGD("kl", steps=6, step_size=0.02, random_start=True)(target, images, labels, THREAT, seed=4)
    torch.testing.assert_close(found.images, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("random_start", [False, True])
def test_equals_torchattacks(random_start: bool) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    model = network(virtual=0)
    target = target_of(model, CLASSES)
    images, labels = right_only(target)
    attack = PGD("ce", steps=20, step_size=0.013, random_start=random_start)
    found = attack(target, images, labels, THREAT, seed=2)
    theirs = torchattacks.PGD(model, eps=THREAT.epsilon, alpha=0.013, steps=20, random_start=False)
    start = THREAT.random_start(images, torch.Generator().manual_seed(2)) if random_start else images
    if random_start:
        torch.testing.assert_close(found.images, _from_start(theirs, images, labels, start), atol=1e-5, rtol=0)
    else:  # bit for bit: in a deep network the least rounding would turn signs in later steps
        assert torch.equal(found.images, theirs(images, labels))


def _from_start(attack: Any, images: Tensor, labels: Tensor, start: Tensor) -> Tensor:
    """torchattacks draws its start as clean + uniform noise: hand it ours as that noise."""
    attack.random_start = True
    noise, draw = start - images, torch.Tensor.uniform_
    try:
        torch.Tensor.uniform_ = lambda self, *bounds: self.copy_(noise)  # type: ignore[method-assign, assignment]
        return attack(images, labels)
    finally:
        torch.Tensor.uniform_ = draw  # type: ignore[method-assign]


def test_default_step_and_the_cosine_rule_walk_equally_far() -> None:
    """On a slope without an end in sight every step counts in full."""
    slope = target_of(lambda x: torch.cat([0 * x + 9, x, 0 * x], 1).flatten(1), 3)
    image, label, wide = torch.zeros(1, 1, 1, 1), torch.tensor([0]), ThreatModel("linf", 1.0)
    for rule in ("constant", "cosine", "momentum"):
        found = PGD("margin", steps=10, step_size=0.03, rule=rule)(slope, image, label, wide)  # type: ignore[arg-type]
        assert found.images.item() == pytest.approx(0.3, abs=1e-6)
    first = PGD("margin", steps=1, step_size=0.03, rule="cosine")(slope, image, label, wide)
    assert first.images.item() == pytest.approx(0.03)  # cos(pi / 2) = 0
    two = PGD("margin", steps=2, step_size=0.03, rule="cosine")
    assert two(slope, image, label, wide).images.item() == pytest.approx(0.06)
    default = PGD("margin", steps=10)(slope, image, label, ThreatModel("linf", 0.5))
    assert default.images.item() == pytest.approx(0.5)


def test_momentum_remembers() -> None:
    """At a turned slope the sum of past normalised gradients still points on; the gradient alone turns back."""

    def logits(images: Tensor) -> Tensor:
        x = images.flatten(1)[:, 0]
        return torch.stack([torch.zeros_like(x), -5 - (x - 0.25).abs(), torch.full_like(x, -50)], 1)

    image, label, wide = torch.zeros(1, 1, 1, 1), torch.tensor([0]), ThreatModel("linf", 1.0)
    walk = [PGD("margin", steps=6, step_size=0.1), PGD("margin", steps=6, step_size=0.1, rule="momentum")]
    constant, momentum = (attack(target_of(logits, 3), image, label, wide).images.item() for attack in walk)
    assert constant == pytest.approx(0.2, abs=1e-5)  # 1 2 3 2 3 2 tenths
    assert momentum == pytest.approx(0.5, abs=1e-5)  # sums 1 2 3 2 1 0: 1 2 3 4 5 5 tenths


def test_fgsm_is_one_step_of_epsilon() -> None:
    target = clean_target()
    images, labels = right_only(target)
    pixels = images.clone().requires_grad_()
    F.cross_entropy(target.craft(pixels), labels).backward()
    assert pixels.grad is not None
    expected = (images + THREAT.epsilon * pixels.grad.sign()).clamp(0, 1)
    torch.testing.assert_close(FGSM()(target, images, labels, THREAT).images, expected, atol=1e-6, rtol=0)


def test_cw20_is_pgd_on_the_margin() -> None:
    assert cw20(0.01) == PGD("margin", steps=20, step_size=0.01)
    assert (cw20().name, PGD().name, FGSM().name, PGD("kl", random_start=True).name) == (
        "CW-20",
        "PGD-20",
        "FGSM",
        "PGD-kl-20",
    )


def test_the_best_never_loses_a_sample_and_costs_fewer_passes() -> None:
    seen: list[int] = []
    model = network(virtual=0)

    def counted(images: Tensor) -> Tensor:
        seen.append(len(images))
        return model(images)

    target = Target(CLASSES, counted, model)
    images, labels = right_only(target, 40)
    settings: dict[str, Any] = {"steps": 8, "step_size": 0.08}  # so long that it overshoots
    last = PGD("ce", **settings)(target, images, labels, THREAT)
    passes = sum(seen)
    seen.clear()
    best = PGD("ce", keep="best", **settings)(target, images, labels, THREAT)
    assert passes == 8 * 40
    assert sum(seen) < passes
    assert (best.fooled | ~last.fooled).all()
    assert best.fooled.any()
    assert torch.equal(best.fooled, ~target.right(best.images, labels))


def test_restarts_spend_passes_on_standing_samples_alone_and_only_gain() -> None:
    seen: list[int] = []
    model = network(virtual=0)

    def counted(images: Tensor) -> Tensor:
        seen.append(len(images))
        return model(images)

    target, small = Target(CLASSES, counted, model), ThreatModel("linf", 0.03)
    images, labels = right_only(target, 60)
    once = PGD("margin", steps=5)(target, images, labels, small)
    seen.clear()
    more = PGD("margin", steps=5, restarts=4)(target, images, labels, small)
    standing = int((~once.fooled).sum())
    assert 0 < standing < 60
    assert seen[:5] == [60] * 5
    assert seen[5:10] == [standing] * 5
    assert (more.fooled | ~once.fooled).all()
    assert torch.equal(more.images[once.fooled], once.images[once.fooled])


def test_a_claim_of_the_approximation_does_not_end_the_search() -> None:
    """craft says fooled a little too early (as bf16 would); decide is asked, and the climb goes on to the truth."""
    weights = torch.tensor([0.0, 1.0, -1.0])

    def decide(images: Tensor) -> Tensor:
        return (images.flatten(1)[:, :1] - 0.6) * weights + torch.tensor([0.0, 0.0, -9.0])

    target = Target(3, lambda x: decide(x) + torch.tensor([0.0, 0.05, 0.0]), decide)
    image, label = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    found = PGD("margin", steps=20, step_size=0.01, keep="best")(target, image, label, ThreatModel("linf", 0.2))
    assert found.fooled.all()
    assert 0.6 < found.images.item() < 0.62  # the first that decide agrees with
    never = PGD("margin", steps=20, keep="best")(target, image, label, ThreatModel("linf", 0.08))
    assert not never.fooled.any()


def test_one_forward_and_one_backward_a_step_and_no_gradient_for_weights() -> None:
    model = network(virtual=0).requires_grad_(True)
    calls = {"craft": 0, "decide": 0}

    def craft(images: Tensor) -> Tensor:
        calls["craft"] += 1
        return model(images)

    def decide(images: Tensor) -> Tensor:
        calls["decide"] += 1
        assert not torch.is_grad_enabled()
        return model(images)

    target = Target(CLASSES, craft, decide)
    images, labels = right_only(Target(CLASSES, model, model))
    known = torch.ones(len(images), dtype=torch.bool)
    found = PGD(steps=7)(target, images, labels, THREAT, right=known)
    assert calls == {"craft": 7, "decide": 1}
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not found.images.requires_grad
    assert torch.equal(PGD(steps=7)(target, images, labels, THREAT).images, found.images)


def test_input_gradient_is_of_the_sum() -> None:
    target = clean_target()
    images, labels = right_only(target)
    gradient, logits = input_gradient(target.craft, make_aim("ce", target, images, labels), images)
    alone, _ = input_gradient(target.craft, make_aim("ce", target, images[:1], labels[:1]), images[:1])
    torch.testing.assert_close(gradient[:1], alone, atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(logits, target.craft(images))
    with torch.no_grad(), pytest.raises(ValueError, match="craft gives logits without a derivative in the images"):
        input_gradient(lambda x: target.craft(x.detach()), make_aim("ce", target, images, labels), images)
