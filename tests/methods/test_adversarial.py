"""Adversarial methods against straight-line computations of the papers' formulas, and their limits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsmooth import add_virtual_classes, all_logits, remove_virtual_classes
from vsmooth.data import Batch
from vsmooth.losses import Divergence, parse_objective
from vsmooth.methods import (
    AdversarialTraining,
    Crafting,
    Distill,
    Mart,
    NetworkTeacher,
    Plain,
    RobustDistillation,
    Standard,
    Trades,
    Watch,
    WeightPerturbation,
)
from vsmooth.records.run import EpochRecord

K, V, SIZE = 3, 2, 6
VS = parse_objective(f"vs:0.3:{V}")
EPSILON, STEP, STEPS = 0.1, 0.04, 3
CRAFTING = Crafting(epsilon=EPSILON, step_size=STEP, steps=STEPS, start="clean", fold=False)
Function = Callable[[Tensor], Tensor]


class Net(nn.Module):
    """A small network with BatchNorm, whose modes differ."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, K)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(torch.tanh(self.norm(self.conv(images))).mean((2, 3)))


def network() -> nn.Module:
    torch.manual_seed(0)
    model = add_virtual_classes(Net(), V).double()
    nn.init.normal_(model.conv.weight, 0, 0.7)
    with torch.no_grad():
        model.norm.running_mean.fill_(0.1)
        model.norm.running_var.fill_(0.8)
    return model.train()


def batch(count: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 2, SIZE, SIZE, generator=generator, dtype=torch.float64)
    return Batch(images, torch.arange(count) % K)


def pgd(logits: Function, images: Tensor, start: Tensor, height: Callable[[Tensor], Tensor]) -> Tensor:
    """PGD in a few lines, as the papers write it."""
    found = start.clone()
    for _ in range(STEPS):
        found.requires_grad_()
        (gradient,) = torch.autograd.grad(height(logits(found)), found)
        found = (found.detach() + STEP * gradient.sign()).clamp(images - EPSILON, images + EPSILON).clamp(0, 1)
    return found.detach()


def evaluated(model: nn.Module) -> Function:
    """All K + V logits of a copy in eval mode."""
    frozen = copy.deepcopy(model).eval()

    def logits(images: Tensor) -> Tensor:
        with all_logits(frozen):
            return frozen(images)

    return logits


def vs_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The paper's Eq. 4, with the whole target built."""
    target = torch.zeros_like(logits)
    target[:, K:] = 0.3 / V
    target[torch.arange(len(labels)), labels] = 0.7
    return -(target * logits.log_softmax(1)).sum(1).mean()


def kl(reference: Tensor, logits: Tensor) -> Tensor:
    p = reference.softmax(1)
    return (p * (p.log() - logits.log_softmax(1))).sum(1)


def test_adversarial_training_is_the_objective_on_images_of_pgd() -> None:
    model, data = network(), batch()
    method = AdversarialTraining(VS, K, CRAFTING)
    expected = pgd(
        evaluated(model), data.images, data.images, lambda z: F.cross_entropy(z, data.labels, reduction="sum")
    )
    crafted = method.craft(model, data)
    torch.testing.assert_close(crafted.images, expected, rtol=0, atol=1e-12)
    assert (expected - data.images).abs().max() == pytest.approx(EPSILON)
    loss = method.loss(model, crafted).total
    torch.testing.assert_close(loss, vs_loss(model(expected), data.labels), rtol=1e-6, atol=1e-9)


def test_the_attack_on_the_real_logits_is_another() -> None:
    model, data = network(), batch()
    method = AdversarialTraining(VS, K, CRAFTING, logits="real")
    wide = evaluated(model)
    expected = pgd(
        lambda x: wide(x)[:, :K], data.images, data.images, lambda z: F.cross_entropy(z, data.labels, reduction="sum")
    )
    found = method.craft(model, data).images
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert not torch.equal(found, AdversarialTraining(VS, K, CRAFTING).craft(model, data).images)


@pytest.mark.parametrize("logits", ["all", "real", "hybrid"])
def test_trades_is_its_formula(logits: str) -> None:
    model, data = network(), batch()
    method = Trades(VS, K, replace(CRAFTING, start="gaussian"), beta=6.0, logits=logits)
    attacked = slice(None) if logits == "all" else slice(K)
    compared = slice(K) if logits == "real" else slice(None)
    frozen = evaluated(model)
    clean = frozen(data.images).detach()[:, attacked]
    torch.manual_seed(5)
    noise = torch.randn(data.images.shape).mul_(1e-3).to(data.images)
    start = (data.images + noise).clamp(0, 1)
    torch.manual_seed(5)
    crafted = method.craft(model, data)
    expected = pgd(lambda x: frozen(x)[:, attacked], data.images, start, lambda z: kl(clean, z).sum())
    torch.testing.assert_close(crafted.images, expected, rtol=0, atol=1e-9)
    loss = method.loss(model, crafted)
    natural, robust = model(data.images), model(expected)
    own = vs_loss(natural, data.labels), kl(natural[:, compared], robust[:, compared]).mean()
    torch.testing.assert_close(loss.total, own[0] + 6 * own[1], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(loss.parts["robust"], own[1].detach())


def test_mart_is_its_formula() -> None:
    model, data = network(), batch()
    method = Mart(VS, K, CRAFTING, beta=5.0)
    crafted = method.craft(model, data)
    loss = method.loss(model, crafted).total
    attacked, natural = model(crafted.images), model(data.images)
    p, q = attacked.softmax(1), natural.softmax(1)
    rows = torch.arange(len(data.labels))
    wrong = torch.stack([max(p[i, j] for j in range(K) if j != data.labels[i]) for i in rows])
    boosted = vs_loss(attacked, data.labels) - (1 - wrong).log().mean()
    weighted = (kl(natural, attacked) * (1 - q[rows, data.labels])).mean()
    torch.testing.assert_close(loss, boosted + 5 * weighted, rtol=1e-6, atol=1e-9)


def test_robust_distillation_is_its_formula() -> None:
    model, data = network(), batch()
    torch.manual_seed(3)
    teacher = NetworkTeacher(Net().double(), K)
    method = RobustDistillation(
        VS, K, CRAFTING, teacher=teacher, gamma=0.7, divergence=Divergence(tau=2.0), attack="kl-teacher"
    )
    lesson = method.craft(model, data)
    taught, frozen = teacher.network(data.images), evaluated(model)
    expected = pgd(lambda x: frozen(x)[:, :K], data.images, data.images, lambda z: kl(taught, z).sum())
    torch.testing.assert_close(lesson.crafted.images, expected, rtol=0, atol=1e-9)
    loss = method.loss(model, lesson).total
    robust = 4 * kl(taught / 2, model(expected)[:, :K] / 2).mean()
    torch.testing.assert_close(
        loss, 0.7 * robust + 0.3 * vs_loss(model(data.images), data.labels), rtol=1e-6, atol=1e-9
    )


def test_a_student_that_is_its_own_teacher_has_no_divergence_at_radius_0() -> None:
    model, data = network().eval(), batch()
    teacher = NetworkTeacher(copy.deepcopy(model), K)
    method = RobustDistillation(VS, K, Crafting(epsilon=0.0), teacher=teacher)
    assert float(method.loss(model, method.craft(model, data)).parts["kd"]) == pytest.approx(0, abs=1e-12)
    plain = Distill(teacher, VS, K, divergence=Divergence(tau=1.0))
    for each in (method, plain):
        assert each.loss(model, each.craft(model, data)).total.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "method",
    [
        AdversarialTraining(VS, K, Crafting(epsilon=0.0)),
        Trades(VS, K, Crafting(epsilon=0.0, start="gaussian")),
        Trades(VS, K, CRAFTING, beta=0.0),
    ],
    ids=["at", "trades", "beta 0"],
)
def test_without_a_radius_or_a_weight_it_is_standard_training_bit_for_bit(method: Trades) -> None:
    found = []
    for each in (method, Standard(VS, K)):
        model, data = network(), batch()
        torch.manual_seed(9)
        Plain().backward(each, model, each.craft(model, data), Tensor.backward)
        found.append([*[weight.grad for weight in model.parameters()], *model.buffers()])
        assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(9))  # nothing was drawn
    assert all(torch.equal(ours, plain) for ours, plain in zip(*found, strict=True))


def test_clean_images_pass_the_network_once() -> None:
    model, data = network(), batch()
    method = Trades(VS, K, replace(CRAFTING, start="gaussian"))
    crafted, seen = method.craft(model, data), []
    model.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    method.loss(model, crafted)
    assert [images is data.images for images in seen] == [True, False]


@pytest.mark.parametrize("crafting", [CRAFTING, replace(CRAFTING, fold=True), replace(CRAFTING, batchnorm="train")])
def test_crafting_leaves_the_network_as_it_was(crafting: Crafting) -> None:
    model, data = network(), batch()
    before = copy.deepcopy(model.state_dict())
    AdversarialTraining(VS, K, crafting).craft(model, data)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_folded_crafting_follows_the_weights() -> None:
    model, data = network(), batch()
    folded = AdversarialTraining(VS, K, replace(CRAFTING, fold=True))
    plain = AdversarialTraining(VS, K, CRAFTING)
    for _ in range(2):
        images = [method.craft(model, data).images for method in (folded, plain)]
        torch.testing.assert_close(*images, rtol=0, atol=1e-5)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1 * torch.randn_like(weight))


def test_the_radius_and_the_labels_warm_up() -> None:
    crafting = replace(CRAFTING, epsilon_warmup=3)
    assert [crafting.in_epoch(epoch).epsilon for epoch in range(5)] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    model, data = network(), batch()
    method = AdversarialTraining(VS, K, Crafting(epsilon=0.0), label_warmup=2)
    losses = [method.loss(model, method.craft(model, replace(data, epoch=epoch))).total for epoch in (1, 2)]
    logits = model(data.images)
    torch.testing.assert_close(losses[0], F.cross_entropy(logits, data.labels))
    torch.testing.assert_close(losses[1], vs_loss(logits, data.labels))


@pytest.mark.parametrize("text", ["logit-norm:0.04", "dummy:2", "focal:2", "vs-frozen:0.3"])
def test_the_labels_of_a_rival_warm_up_as_well(text: str) -> None:
    """Their parameter at 0 is no cross entropy, or no rival at all."""
    model, data = network(), batch()
    objective = parse_objective(text)
    model = model if objective.num_virtual(K) else remove_virtual_classes(model)
    method = AdversarialTraining(objective, K, Crafting(epsilon=0.0), label_warmup=1)
    loss = method.loss(model, method.craft(model, data)).total
    torch.testing.assert_close(loss, F.cross_entropy(model(data.images), data.labels))


def test_a_second_part_of_the_batch_is_trained_on_as_well() -> None:
    model, data = network(), batch()
    first, second = (Batch(data.images[part], data.labels[part]) for part in (slice(5), slice(5, None)))
    method = AdversarialTraining(VS, K, CRAFTING)
    crafted = method.craft(model, replace(first, extra=second))
    torch.testing.assert_close(crafted.images, method.craft(model, data).images)
    assert torch.equal(crafted.batch.labels, data.labels)


def test_mixed_labels_are_refused() -> None:
    data = batch()
    with pytest.raises(ValueError, match="needs class indices, got mixed labels: --mixup 0 --cutmix 0"):
        AdversarialTraining(VS, K, CRAFTING).craft(network(), replace(data, labels=torch.full((8, K), 1 / K)))


def gradients(rule: Plain | WeightPerturbation, model: nn.Module, epoch: int = 0) -> list[Tensor]:
    method = Standard(VS, K)
    rule.backward(method, model, batch(), Tensor.backward, epoch=epoch)
    return [weight.grad.clone() for weight in model.parameters()]


def test_weight_perturbation_is_its_formula() -> None:
    model, data = network(), batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = gradients(WeightPerturbation(0.1), model)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    expected = network()
    vs_loss(expected(data.images), data.labels).backward()
    statistics = {name: value.clone() for name, value in before.items() if "running" in name or "batches" in name}
    with torch.no_grad():
        for weight in expected.parameters():
            if weight.ndim > 1:
                weight += 0.1 * weight.norm() / weight.grad.norm() * weight.grad
    expected.load_state_dict(statistics, strict=False)
    expected.zero_grad()
    vs_loss(expected(data.images), data.labels).backward()
    torch.testing.assert_close(found, [weight.grad for weight in expected.parameters()])
    assert all(torch.equal(own, theirs) for own, theirs in zip(model.buffers(), expected.buffers(), strict=True))


@pytest.mark.parametrize("rule", [WeightPerturbation(0.0), WeightPerturbation(0.1, warmup=3)])
def test_without_size_or_before_its_epoch_it_is_a_plain_step(rule: WeightPerturbation) -> None:
    found, plain = gradients(rule, network(), epoch=2), gradients(Plain(), network())
    assert all(torch.equal(own, theirs) for own, theirs in zip(found, plain, strict=True))


def test_perturbed_layers_are_chosen() -> None:
    whole = gradients(WeightPerturbation(0.1), network())
    body, classifier = (gradients(WeightPerturbation(0.1, layers=part), network()) for part in ("body", "classifier"))
    plain = gradients(Plain(), network())
    for one, other in ((whole, body), (whole, classifier), (body, classifier), (plain, body), (plain, classifier)):
        assert not torch.allclose(one[0], other[0])


def test_weights_are_put_back_after_an_error() -> None:
    model, calls = network(), []
    before = copy.deepcopy(model.state_dict())

    def fails(total: Tensor) -> None:
        calls.append(total)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        WeightPerturbation(0.1).backward(Standard(VS, K), model, batch(), fails)
    assert calls
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def history(*accuracies: tuple[float, float]) -> tuple[EpochRecord, ...]:
    return tuple(
        EpochRecord(place, 1.0, 0.1, 1.0, 1.0, {"robust_accuracy": robust, "fgsm_accuracy": fgsm}, {})
        for place, (robust, fgsm) in enumerate(accuracies, 1)
    )


def test_catastrophic_overfitting_is_told() -> None:
    found = Watch().notice(history((0.3, 0.4), (0.35, 0.45), (0.05, 0.8)))
    assert found is not None
    assert found.startswith("catastrophic overfitting in epoch 3: accuracy under PGD fell from 35.0 % (epoch 2) to 5.0")


@pytest.mark.parametrize(
    "seen",
    [
        history((0.3, 0.4)),
        history((0.3, 0.4), (0.05, 0.1)),  # both fell: the learning rate, not the one-step attack
        history((0.3, 0.4), (0.25, 0.8)),  # robust still
    ],
)
def test_other_falls_are_not_called_so(seen: tuple[EpochRecord, ...]) -> None:
    assert Watch().notice(seen) is None
