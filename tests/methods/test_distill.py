"""Distillation: its limits, what it asks of teacher and student, and that nothing happens to the teacher."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsmooth.data import Batch
from vsmooth.head import add_virtual_classes, all_logits
from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses import Divergence, LabelObjective, decoupled_divergence, kl_divergence
from vsmooth.methods import Distill, NetworkTeacher, Standard
from vsmooth.models import Resized

CLASSES, VIRTUAL = 3, 2
ONE_HOT = OneHot()
PLAIN = LabelObjective(ONE_HOT)
SCHEMES = (ONE_HOT, LabelSmoothing(0.2), VirtualSmoothing(0.2), VirtualSmoothing(0.4, num_virtual=VIRTUAL))


def make_batch(dtype: torch.dtype = torch.float32) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.rand(12, 1, 4, 4, generator=generator).to(dtype), torch.arange(12) % CLASSES)


def make_network(scheme: LabelScheme = ONE_HOT, seed: int = 0, *, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout)]
    model = nn.Sequential(*layers, nn.Linear(64, CLASSES))
    virtual = scheme.width(CLASSES) - CLASSES
    return add_virtual_classes(model, virtual) if virtual else model


def make_teacher(scheme: LabelScheme = ONE_HOT, **options: Any) -> NetworkTeacher:
    return NetworkTeacher(make_network(scheme, seed=1), CLASSES, **options)


def teach(method: Distill, student: nn.Module, batch: Batch) -> Tensor:
    return method.loss(student, method.craft(student, batch)).total


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_gamma_0_is_plain_training_and_asks_no_teacher(scheme: LabelScheme) -> None:
    class Unasked(NetworkTeacher):
        def logits(self, batch: Batch) -> Tensor:
            raise AssertionError

    teacher = Unasked(make_network(seed=1), CLASSES)
    students = [make_network(scheme), make_network(scheme)]
    distilled = teach(Distill(teacher, LabelObjective(scheme), CLASSES, gamma=0.0), students[0], make_batch())
    plain = Standard(LabelObjective(scheme), CLASSES).loss(students[1], make_batch()).total
    assert torch.equal(distilled, plain)
    distilled.backward()
    plain.backward()
    for ours, theirs in zip(students[0].parameters(), students[1].parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("gamma", [0.3, 1.0])
def test_loss_against_torch(scheme: LabelScheme, gamma: float) -> None:
    teacher, student, batch, tau = make_teacher(), make_network(scheme), make_batch(), 4.0
    method = Distill(teacher, LabelObjective(scheme), CLASSES, gamma, Divergence(tau=tau))
    found = method.loss(student, method.craft(student, batch))
    logits = student(batch.images)
    target = teacher.network(batch.images)
    kd = tau**2 * F.kl_div(
        F.log_softmax(logits[:, :CLASSES] / tau, 1), F.softmax(target / tau, 1), reduction="batchmean"
    )
    ce = F.cross_entropy(logits, scheme.encode(batch.labels, CLASSES))
    torch.testing.assert_close(found.total, gamma * kd + (1 - gamma) * ce)
    torch.testing.assert_close(found.parts["kd"], kd.detach())
    assert found.parts.keys() == ({"kd", "ce"} if gamma < 1 else {"kd"})
    assert not any(part.requires_grad for part in found.parts.values())


def test_gamma_1_sees_no_label() -> None:
    method, student, batch = Distill(make_teacher(), PLAIN, CLASSES), make_network(), make_batch()
    wrong = Batch(batch.images, (batch.labels + 1) % CLASSES)
    assert torch.equal(teach(method, student, batch), teach(method, student, wrong))


def test_papers_defaults() -> None:
    method = Distill(make_teacher(), PLAIN, CLASSES)
    assert (method.gamma, method.divergence.kind, method.divergence.tau) == (1.0, "kl", 30.0)


def test_teacher_that_is_the_student_has_nothing_to_teach() -> None:
    student = make_network().eval()
    method = Distill(NetworkTeacher(copy.deepcopy(student), CLASSES), PLAIN, CLASSES)
    loss = teach(method, student, make_batch())
    assert loss.item() == 0
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() < 1e-5 for p in student.parameters())


def test_growing_tau_tends_to_matching_logits() -> None:
    student, batch = make_network().double(), make_batch(torch.float64)
    teacher = NetworkTeacher(make_network(seed=1).double(), CLASSES)
    difference = student(batch.images) - teacher.logits(batch)
    centred = difference - difference.mean(1, keepdim=True)
    (centred.square().sum(1).mean() / (2 * CLASSES)).backward()
    expected = [p.grad.clone() for p in student.parameters() if p.grad is not None]
    student.zero_grad()
    teach(Distill(teacher, PLAIN, CLASSES, divergence=Divergence(tau=1e5)), student, batch).backward()
    for parameter, wanted in zip(student.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_wide_teacher_teaches_its_real_logits(scheme: LabelScheme) -> None:
    """A VS teacher of K + V logits, students of K and of K + V."""
    wide = make_network(VirtualSmoothing(0.3, num_virtual=5), seed=1)
    teacher, student, batch = NetworkTeacher(wide, CLASSES), make_network(scheme), make_batch()
    method = Distill(teacher, LabelObjective(scheme), CLASSES, divergence=Divergence(tau=2.0))
    with all_logits(wide):
        target = wide(batch.images)
    assert target.shape == (12, CLASSES + 5)
    expected = 4 * kl_divergence(target[:, :CLASSES], student(batch.images)[:, :CLASSES], temperature=2.0)
    torch.testing.assert_close(teach(method, student, batch), expected.detach(), check_stride=False)


def test_all_logits_where_teacher_and_student_share_v() -> None:
    scheme = VirtualSmoothing(0.3, num_virtual=VIRTUAL)
    teacher, student, batch = make_teacher(scheme, taught="all"), make_network(scheme), make_batch()
    with all_logits(teacher.network):
        target = teacher.network(batch.images)
    assert teacher.width == target.shape[1] == CLASSES + VIRTUAL
    method = Distill(teacher, LabelObjective(scheme), CLASSES, divergence=Divergence(tau=2.0))
    expected = 4 * kl_divergence(target, student(batch.images), temperature=2.0)
    torch.testing.assert_close(teach(method, student, batch), expected.detach())
    for other in (ONE_HOT, VirtualSmoothing(0.3)):
        method = Distill(teacher, other, CLASSES)
        message = f"teacher has 5 logits and the student {other.width(CLASSES)}: .* teach the real ones"
        with pytest.raises(ValueError, match=message):
            teach(method, make_network(other), batch)


def test_decoupled_reads_the_labels() -> None:
    teacher, student, batch = make_teacher(), make_network(), make_batch()
    method = Distill(teacher, PLAIN, CLASSES, divergence=Divergence("decoupled", 4.0))
    expected = 16 * decoupled_divergence(teacher.logits(batch), student(batch.images), batch.labels, temperature=4.0)
    torch.testing.assert_close(teach(method, student, batch), expected)
    mixed = Batch(batch.images, F.one_hot(batch.labels, CLASSES).float())
    with pytest.raises(ValueError, match="no meaning for mixed labels"):
        teach(method, student, mixed)
    teach(Distill(teacher, PLAIN, CLASSES, gamma=0.5), student, mixed)


@pytest.mark.parametrize("taught", ["real", "all"])
def test_nothing_happens_to_the_teacher(taught: Any) -> None:
    scheme = VirtualSmoothing(0.3, num_virtual=VIRTUAL)
    network = make_network(scheme, seed=1, dropout=0.5).train()
    before = copy.deepcopy(network.state_dict())
    teacher = NetworkTeacher(network, CLASSES, taught=taught)
    student, batch = make_network(scheme), make_batch()
    method = Distill(teacher, LabelObjective(scheme), CLASSES, gamma=0.7)
    optimizer = torch.optim.SGD([*student.parameters(), *network.parameters()], 0.1)
    first = teacher.logits(batch)
    for _ in range(3):
        teach(method, student, batch).backward()
        optimizer.step()
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    network.train()  # as a loop would that does not know better
    assert torch.equal(teacher.logits(batch), first)
    assert not network.training


def test_teacher_in_its_own_precision() -> None:
    network, batch, student = make_network(seed=1), make_batch(), make_network()
    full = NetworkTeacher(network, CLASSES).logits(batch)
    with torch.autocast("cpu", torch.bfloat16):
        within = NetworkTeacher(network, CLASSES).logits(batch)
        kd = teach(Distill(NetworkTeacher(network, CLASSES), PLAIN, CLASSES), student, batch)
    assert torch.equal(within, full)
    assert kd.dtype == torch.float32
    half = NetworkTeacher(network, CLASSES, autocast=torch.bfloat16).logits(batch)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0.05)


def test_teacher_gets_images_in_its_own_size() -> None:
    small, batch = make_network(seed=1), make_batch()
    large = Batch(torch.rand(6, 1, 9, 12), torch.arange(6) % CLASSES)
    resized = F.interpolate(large.images, (4, 4), mode="bilinear", antialias=True)
    teacher = NetworkTeacher(Resized(small, (4, 4)), CLASSES)
    torch.testing.assert_close(teacher.logits(large), small(resized).detach())
    torch.testing.assert_close(teacher.logits(batch), small(batch.images).detach())


@pytest.mark.parametrize("gamma", [-0.1, 1.1, math.nan])
def test_gamma_outside_0_to_1(gamma: float) -> None:
    message = rf"gamma, the weight of the teacher's divergence .* must be in \[0, 1\], got {gamma}"
    with pytest.raises(ValueError, match=message):
        Distill(make_teacher(), PLAIN, CLASSES, gamma)


def test_teachers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"size must be at least 1 pixel a side, got \(0, 4\)"):
        Resized(make_network(), (0, 4))
    with pytest.raises(ValueError, match=r"shape \(12, 3\), expected \(B, 4\): it must know the student's classes"):
        NetworkTeacher(make_network(), 4).logits(make_batch())
    with pytest.raises(ValueError, match="has no virtual classes: teach its real logits"):
        make_teacher(taught="all")
    with pytest.raises(ValueError, match="must be one of real, all, got 'virtual'"):
        make_teacher(taught="virtual")
