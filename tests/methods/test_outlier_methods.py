"""Training with outliers: the formulas, one forward pass, means of each branch, classes that nothing predicts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vsmooth import add_virtual_classes, all_logits
from vsmooth.data import Batch
from vsmooth.losses import parse_objective
from vsmooth.methods import EnergyBound, OutlierExposure, RejectClasses, Standard
from vsmooth.methods.outlier.reject import Drawn

K, R, V = 4, 2, 3


def network(extra: int = 0) -> nn.Module:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, K)).double()
    return add_virtual_classes(plain, extra) if extra else plain


def batch(inside: int = 6, outside: int = 10) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images, others = (
        torch.rand(count, 3, 2, 2, generator=generator, dtype=torch.float64) for count in (inside, outside)
    )
    return Batch(images, torch.arange(inside) % K, extra=Batch(others, torch.full((outside,), -1)))


def joint(model: nn.Module, found: Batch) -> tuple[Tensor, Tensor]:
    assert found.extra is not None
    logits = model(torch.cat([found.images, found.extra.images]))
    return logits[: len(found.images)], logits[len(found.images) :]


def test_outlier_exposure_is_its_formula_with_a_mean_for_each_branch() -> None:
    """6 images and 10 outliers: a mean over the 16 would weigh them 6/16 and 5/16 instead of 1 and .5."""
    model, found = network(), batch()
    inside, outside = joint(model, found)
    loss = OutlierExposure(parse_objective("one-hot"), K).loss(model, found)
    own, others = functional.cross_entropy(inside, found.labels), (outside.logsumexp(1) - outside.mean(1)).mean()
    torch.testing.assert_close(loss.total, own + 0.5 * others)
    torch.testing.assert_close((loss.parts["in"], loss.parts["out"]), (own.detach(), others.detach()))


def test_the_effective_weight_does_not_depend_on_how_many_outliers_there_are() -> None:
    model, found = network().eval(), batch()
    assert found.extra is not None
    twice = Batch(found.extra.images.repeat(2, 1, 1, 1), found.extra.labels.repeat(2))
    method = OutlierExposure(parse_objective("one-hot"), K)
    torch.testing.assert_close(method.loss(model, found).total, method.loss(model, replace(found, extra=twice)).total)


@pytest.mark.parametrize(
    "method",
    [
        OutlierExposure(parse_objective("one-hot"), K),
        EnergyBound(parse_objective("one-hot"), K),
        RejectClasses(parse_objective("one-hot"), K, R),
    ],
    ids=["oe", "energy", "ssl"],
)
def test_there_is_one_forward_pass_over_both(method: OutlierExposure | EnergyBound | RejectClasses) -> None:
    model, sizes = network(R if isinstance(method, RejectClasses) else 0), []
    model.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    method.loss(model, method.craft(model, batch()))
    assert sizes == [16]


@pytest.mark.parametrize(("target", "virtual"), [("vs1", 0.3), ("vs2", 1.0), ("uniform", 0.0)])
def test_virtual_smoothing_and_its_targets_of_outliers(target: str, virtual: float) -> None:
    model, found = network(V), batch()
    inside, outside = joint(model, found)
    objective = parse_objective("vs:0.3")
    loss = OutlierExposure(objective, K, 0.5, target, 0.3).loss(model, found)  # type: ignore[arg-type]
    label = torch.tensor([(1 - virtual) / K] * K + [virtual / V] * V, dtype=torch.float64).expand(10, -1)
    expected = objective.loss(inside, found.labels, K) + 0.5 * functional.cross_entropy(outside, label)
    torch.testing.assert_close(loss.total, expected)


@pytest.mark.parametrize("used", ["real", "all"])
def test_energy_bounds_on_real_or_all_logits(used: str) -> None:
    model, found = network(V), batch()
    inside, outside = joint(model, found)
    width = K if used == "real" else K + V
    objective = parse_objective("vs:0.3")
    loss = EnergyBound(objective, K, 0.1, -3.0, -1.0, used).loss(model, found)  # type: ignore[arg-type]
    above = (-inside[:, :width].logsumexp(1) + 3).clamp(min=0).square().mean()
    below = (-1 + outside[:, :width].logsumexp(1)).clamp(min=0).square().mean()
    torch.testing.assert_close(loss.total, objective.loss(inside, found.labels, K) + 0.1 * (above + below))


def test_pseudo_labels_by_hand() -> None:
    """Logits of 2 outliers over 4 real, 2 reject and 1 virtual class: one decides for a reject class, one does not."""
    z = torch.tensor([[0.0, 0, 0, 0, 1, 3, 9], [5.0, 0, 0, 0, 2, 1, 9]])
    random = torch.tensor([0, 1])
    found = {
        rule: RejectClasses(parse_objective("one-hot"), K, R, pseudo_label=rule).pseudo_labels(z, random).tolist()  # type: ignore[arg-type]
        for rule in ("decision", "best-reject", "random")
    }
    assert found == {"decision": [5, 5], "best-reject": [5, 4], "random": [4, 5]}


@pytest.mark.parametrize("text", ["one-hot", "ls:0.2", "vs:0.3"])
def test_reject_classes_are_ordinary_ones_of_the_objective(text: str) -> None:
    objective = parse_objective(text)
    virtual = V if text.startswith("vs") else 0
    model, found = network(R + virtual), batch()
    method = RejectClasses(objective, K, R, 0.5, "best-reject")
    inside, outside = joint(model, found)
    loss = method.loss(model, Drawn(found, torch.zeros(10, dtype=torch.long)))
    labels = K + outside[:, K : K + R].argmax(1)
    expected = objective.loss(inside, found.labels, K + R) + 0.5 * objective.loss(outside, labels, K + R)
    torch.testing.assert_close(loss.total, expected)
    mixed = replace(found, labels=functional.one_hot(found.labels, K).double())
    torch.testing.assert_close(method.loss(model, Drawn(mixed, torch.zeros(10, dtype=torch.long))).total, expected)


def test_reject_classes_are_never_predicted() -> None:
    model, found = network(R), batch()
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    method = RejectClasses(parse_objective("one-hot"), K, R)
    for _ in range(30):
        optimizer.zero_grad()
        method.loss(model, method.craft(model, found)).total.backward()
        optimizer.step()
    assert found.extra is not None
    with torch.no_grad(), all_logits(model.eval()):
        assert (model(found.extra.images).argmax(1) >= K).any()  # it does decide for them when it is asked
    assert model(found.extra.images).shape == (10, K)


def test_the_random_classes_are_drawn_once_for_a_batch() -> None:
    model, found = network(R), batch()
    method = RejectClasses(parse_objective("one-hot"), K, R, pseudo_label="random")
    crafted = method.craft(model, found)
    assert method.loss(model, crafted).total == method.loss(model, crafted).total
    assert crafted.random.unique().tolist() == [0, 1]


def test_without_weight_it_is_standard_training() -> None:
    model, found = network().eval(), batch()
    objective = parse_objective("ls:0.2")
    expected = Standard(objective, K).loss(model, found).total
    for method in (OutlierExposure(objective, K, 0.0), EnergyBound(objective, K, 0.0)):
        torch.testing.assert_close(method.loss(model, found).total, expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OutlierExposure(parse_objective("one-hot"), K, -1), "weight of the outliers' loss must be 0 or more"),
        (lambda: EnergyBound(parse_objective("one-hot"), K, 0.1, -5, -23), "must be bounded below that of outliers"),
        (lambda: RejectClasses(parse_objective("one-hot"), K, 0), "reject classes must be at least 1, got 0"),
        (
            lambda: RejectClasses(parse_objective("one-hot"), K, R, pseudo_label="x"),  # type: ignore[arg-type]
            "the pseudo-label rule must be one of decision, best-reject, random, got 'x'",
        ),
        (
            lambda: OutlierExposure(parse_objective("one-hot"), K).loss(network(), replace(batch(), extra=None)),
            "the batch has no outliers: give them as its second part",
        ),
    ],
)
def test_mistakes(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
