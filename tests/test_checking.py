"""Each silent mistake is found by :func:`vsmooth.check`, and a right training passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import vsmooth
from vsmooth import LabelSmoothing, SmoothedCrossEntropy, VirtualSmoothingLoss, add_virtual_classes

K, V = 5, 3


def a_model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, K))


@pytest.fixture
def model() -> nn.Sequential:
    return add_virtual_classes(a_model(), V)


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def argmax_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.argmax(1) == targets).float().mean()


def real_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    return argmax_accuracy(logits[:, :K], targets)


@pytest.mark.parametrize(
    "criterion",
    [
        VirtualSmoothingLoss(K, 0.3, V),
        VirtualSmoothingLoss(K, 0.0, V),
        VirtualSmoothingLoss(K, 1.0),
        VirtualSmoothingLoss(K, 0.3, reduction="none"),
        VirtualSmoothingLoss(K, 0.3, weight=torch.arange(1.0, K + 1)),
        SmoothedCrossEntropy(vsmooth.VirtualSmoothing(0.3, distribution=vsmooth.NoisyUniform(0.1)), K),
        VirtualSmoothingLoss(K, 0.3, V).eval(),
        lambda logits, targets: -(logits.log_softmax(1)[:, 0].sum() ** 2),  # no cross entropy: not judged
        lambda outputs, labels, num_items: 0,
        None,
    ],
)
def test_a_right_training_passes_and_nothing_is_changed(model: nn.Sequential, criterion: Any) -> None:
    before, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    mode = criterion.training if isinstance(criterion, nn.Module) else None
    assert vsmooth.check(model, criterion, optimizer_of(model), accuracy=real_accuracy) is None
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert mode is None or criterion.training is mode
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_optimizer_built_before_is_found() -> None:
    model = a_model()
    optimizer = optimizer_of(model)
    add_virtual_classes(model, V)
    with pytest.raises(ValueError, match="does not have the parameters of head '3': build it after add_virtual_cl"):
        vsmooth.check(model, None, optimizer)


PLAIN = "no share of the label on the virtual classes, as a plain cross entropy"
SMOOTHED = "a share of the label on the wrong real classes: switch label smoothing off"


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (nn.CrossEntropyLoss(), PLAIN),
        (nn.CrossEntropyLoss(reduction="sum"), PLAIN),
        (F.cross_entropy, PLAIN),
        (lambda logits, targets: F.nll_loss(logits.log_softmax(1), targets), PLAIN),
        (nn.CrossEntropyLoss(label_smoothing=0.1), SMOOTHED),
        (VirtualSmoothingLoss(K + 1, 0.3), "has num_classes=6, but the model 5 real classes"),
        (VirtualSmoothingLoss(K + 1, 0.3, V), r"does not take 5 \+ 3 logits \(logits have 8 classes"),
        (SmoothedCrossEntropy(LabelSmoothing(0.1), K), r"does not take 5 \+ 3 logits \(logits have 8 classes"),
    ],
)
def test_a_criterion_that_is_not_virtual_smoothing_is_found(model: nn.Sequential, criterion: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vsmooth.check(model, criterion)


@pytest.mark.filterwarnings("ignore:.*will not be trained")
def test_a_frozen_head_is_found(model: nn.Sequential) -> None:
    model[-1].requires_grad_(False)
    with pytest.raises(ValueError, match="the weight and bias of head '3' will not be trained: requires_grad_"):
        vsmooth.check(model, VirtualSmoothingLoss.for_model(model, 0.3), optimizer_of(model))


def test_a_head_left_in_eval_mode_is_found(model: nn.Sequential) -> None:
    model[-1].eval()
    with pytest.raises(ValueError, match="head '3' is in eval mode, so it gives K logits"):
        vsmooth.check(model)
    model.eval()
    vsmooth.check(model)  # the whole model: train() is still to be called


def test_an_accuracy_that_predicts_virtual_classes_is_found(model: nn.Sequential) -> None:
    with pytest.raises(ValueError, match=r"predicts virtual classes \(0 instead of 1 on a test\): .*logits\[:, :5\]"):
        vsmooth.check(model, accuracy=argmax_accuracy)
    torchmetrics = pytest.importorskip("torchmetrics")
    metric = torchmetrics.Accuracy("multiclass", num_classes=K)
    with pytest.raises(ValueError, match=r"does not take 5 \+ 3 logits"):
        vsmooth.check(model, accuracy=metric)
    assert metric.update_count == 0


def test_several_mistakes_are_told_at_once() -> None:
    model = a_model()
    optimizer = optimizer_of(model)
    add_virtual_classes(model, V)
    with pytest.raises(ValueError, match=r"^check: the optimizer .*; the criterion puts no .*; the accuracy pred"):
        vsmooth.check(model, nn.CrossEntropyLoss(), optimizer, accuracy=argmax_accuracy)
    with pytest.raises(ValueError, match="check: the model has no virtual classes"):
        vsmooth.check(a_model())
