"""One virtual logit that stands for V equal ones: the same loss but for a constant, the same gradients, one row."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vsmooth import SmoothedCrossEntropy, VirtualSmoothing, add_virtual_classes, all_logits, remove_virtual_classes
from vsmooth.evaluate.representation.features import collect
from vsmooth.experiments.build import network_for
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.experiments.variants import objective_record
from vsmooth.head import VirtualConv2d, VirtualLinear, virtual_heads
from vsmooth.losses import LabelObjective, parse_objective
from vsmooth.metrics import virtual_mass

K, V, D, ALPHA = 5, 12, 7, 0.3


def linear(bias: bool) -> nn.Sequential:
    return nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, K, bias))


def convolution(bias: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Unflatten(1, (D, 1, 1)), nn.Conv2d(D, D, 1), nn.ReLU(), nn.Conv2d(D, K, 1, bias=bias), nn.Flatten()
    )


every_model = pytest.mark.parametrize("build", [linear, convolution])
with_and_without = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])


@pytest.fixture
def images() -> Tensor:
    return torch.randn(8, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def head_of(model: nn.Module) -> VirtualLinear | VirtualConv2d:
    ((_, head),) = virtual_heads(model)
    return head


def twins(build: Callable[[bool], nn.Sequential], bias: bool) -> tuple[nn.Sequential, nn.Sequential]:
    """A network with V equal virtual rows, and the collapsed one with the same row."""
    torch.manual_seed(0)
    wide = build(bias).double()
    one = build(bias).double()
    one.load_state_dict(wide.state_dict())
    add_virtual_classes(wide, V)
    add_virtual_classes(one, V, collapsed=True)
    many, single = head_of(wide), head_of(one)
    with torch.no_grad():
        many.weight[K:] = single.weight[K:]
        if many.bias is not None and single.bias is not None:
            many.bias[K:] = single.bias[K:]
    return wide, one


@every_model
@with_and_without
def test_loss_and_gradients_are_those_of_v_equal_rows(
    build: Callable[[bool], nn.Sequential], bias: bool, images: Tensor
) -> None:
    (wide, one), targets = twins(build, bias), torch.arange(8) % K
    losses, grads = [], []
    for model, scheme in (
        (wide, VirtualSmoothing(ALPHA, V)),
        (one, VirtualSmoothing(ALPHA, V, collapsed=True)),
    ):
        inputs = images.clone().requires_grad_()
        loss = SmoothedCrossEntropy(scheme, K)(model(inputs), targets)
        loss.backward()
        losses.append(loss.item())
        grads.append(inputs.grad)
    assert losses[0] - losses[1] == pytest.approx(ALPHA * math.log(V), abs=1e-6)
    torch.testing.assert_close(grads[0], grads[1])
    many, single = head_of(wide).weight.grad, head_of(one).weight.grad
    assert many is not None
    assert single is not None
    torch.testing.assert_close(single[:K], many[:K])
    torch.testing.assert_close(single[K], many[K:].sum(0))


@every_model
@with_and_without
def test_evaluation_has_the_same_real_logits_and_the_same_virtual_mass(
    build: Callable[[bool], nn.Sequential], bias: bool, images: Tensor
) -> None:
    wide, one = (model.eval() for model in twins(build, bias))
    assert torch.equal(wide(images), one(images))
    with all_logits(wide), all_logits(one):
        every, few = wide(images), one(images)
    assert few.shape == (8, K + 1)
    torch.testing.assert_close(few[:, K], every[:, K] + math.log(V))
    torch.testing.assert_close(virtual_mass(few, K), virtual_mass(every, K))
    assert torch.equal(remove_virtual_classes(one)(images), wide(images))


@with_and_without
def test_features_know_the_offset(bias: bool, images: Tensor) -> None:
    _, one = twins(linear, bias)
    pixels = images.sigmoid().float().reshape(8, D, 1, 1)
    found = collect(nn.Sequential(nn.Flatten(), *one.float()), [(pixels, torch.arange(8) % K)])
    assert (found.num_classes, found.num_virtual) == (K, 1)


@with_and_without
def test_a_scripted_and_a_saved_head_keep_the_offset(bias: bool, images: Tensor) -> None:
    _, one = twins(linear, bias)
    torch.testing.assert_close(torch.jit.script(one)(images), one(images))
    again = add_virtual_classes(linear(bias).double(), V, collapsed=True)
    again.load_state_dict(one.state_dict())
    assert torch.equal(again(images), one(images))
    assert "offset=2.485" in repr(one)


def test_the_label_of_an_experiment() -> None:
    objective = parse_objective("vs-collapsed:0.3:20")
    assert (objective.num_virtual(K), objective.name_for(K)) == (1, "VS collapsed 0.3 V=20")
    assert parse_objective("vs-collapsed:0.3").name_for(K) == "VS collapsed 0.3"
    assert objective_record(objective, K).num_virtual == 1
    head = head_of(network_for(RunSpec("toy", "small", objective), K, (1, 8, 8), ((0.5,), (0.5,))))
    assert (head.num_virtual, head.offset) == (1, pytest.approx(math.log(20)))
    encoded = VirtualSmoothing(0.3, 20, collapsed=True).encode(torch.tensor([1]), K)
    assert encoded.tolist() == [pytest.approx([0, 0.7, 0, 0, 0, 0.3])]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VirtualSmoothing(0.3, distribution=(0.5, 0.5), collapsed=True), "share alpha equally: leave out the"),
        (lambda: parse_objective("vs-collapsed:0.3").loss(torch.zeros(2, 2 * K), torch.zeros(2).long(), K),
         r"collapsed virtual smoothing .* needs exactly 6; widen the model with add_virtual_classes\(model, collapsed"),
        (lambda: LabelObjective(VirtualSmoothing(0.3, collapsed=True)).text, "typed vs-collapsed:ALPHA"),
        (lambda: parse_objective("vs-collapsed:1.5"), r"alpha must be a number in \[0, 1\], got 1.5"),
        (lambda: parse_objective("vs-collapsed:0.3:0"), "num_virtual must be a whole number of at least 1"),
    ],
)  # fmt: skip
def test_mistakes_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
