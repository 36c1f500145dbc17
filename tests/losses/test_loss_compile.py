from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsmooth import (
    LabelScheme,
    LabelSmoothing,
    OneHot,
    SmoothedCrossEntropy,
    VirtualSmoothing,
    add_virtual_classes,
)
from vsmooth.losses import Reduction

SCHEMES = [
    OneHot(),
    LabelSmoothing(0.2),
    VirtualSmoothing(0.3, 3),
    VirtualSmoothing(0.6, distribution=(0.2, 0.0, 0.8)),
]
ROWS = 6


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> None:
    torch.compiler.reset()


def a_batch(kind: str, width: int, num_classes: int, *rest: int) -> tuple[Tensor, Tensor]:
    logits = torch.randn(ROWS, width, *rest, requires_grad=True)
    if kind == "probability":
        return logits, torch.rand(ROWS, num_classes, *rest).softmax(1)
    targets = torch.randint(num_classes, (ROWS, *rest))
    return logits, targets.where(torch.rand(targets.shape) < 0.7, -100) if kind == "ignored" else targets


def value_and_gradient(loss_of: nn.Module, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    loss = loss_of(logits, targets)
    return loss, torch.autograd.grad(loss.sum(), logits)[0]


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("kind", ["index", "ignored", "probability"])
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_the_compiled_loss_is_one_graph_with_the_same_numbers(scheme: LabelScheme, kind: str, weighted: bool) -> None:
    weight = torch.rand(4) + 0.5 if weighted else None
    loss_of = SmoothedCrossEntropy(scheme, 4, weight=weight)
    batch = a_batch(kind, scheme.width(4), 4)
    expected = value_and_gradient(loss_of, *batch)
    compiled = torch.compile(loss_of, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(value_and_gradient(compiled, *batch), expected)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("kind", ["index", "probability"])
def test_the_compiled_loss_of_images_is_one_graph_with_the_same_numbers(kind: str, reduction: Reduction) -> None:
    loss_of = SmoothedCrossEntropy(VirtualSmoothing(0.3), 4, reduction=reduction)
    batch = a_batch(kind, 7, 4, 2, 3)
    expected = value_and_gradient(loss_of, *batch)
    compiled = torch.compile(loss_of, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(value_and_gradient(compiled, *batch), expected)


@pytest.mark.parametrize("kind", ["index", "probability"])
def test_one_dynamic_graph_serves_batches_of_any_size(kind: str) -> None:
    graphs = 0

    def counting(graph: torch.fx.GraphModule, example_inputs: list[Tensor]) -> torch.fx.GraphModule:
        nonlocal graphs
        graphs += 1
        return graph

    loss_of = SmoothedCrossEntropy(VirtualSmoothing(0.3), 40)
    compiled = torch.compile(loss_of, fullgraph=True, dynamic=True, backend=counting)
    for rows in (2, 3, 6):
        logits, targets = (t[:rows].detach() for t in a_batch(kind, 50, 40))
        torch.testing.assert_close(compiled(logits, targets), loss_of(logits, targets))
    assert graphs == 1


def test_a_network_with_virtual_classes_and_its_loss_compile_into_one_graph() -> None:
    network = add_virtual_classes(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4)), 3)
    loss_of = SmoothedCrossEntropy(VirtualSmoothing(0.3), 4)
    images, targets = torch.randn(ROWS, 5), torch.randint(4, (ROWS,))
    loss = loss_of(network(images), targets)
    expected = torch.autograd.grad(loss, list(network.parameters()))

    def step(x: Tensor, y: Tensor) -> Tensor:
        return loss_of(network(x), y)

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")(images, targets)
    torch.testing.assert_close(compiled, loss)
    torch.testing.assert_close(torch.autograd.grad(compiled, list(network.parameters())), expected)


def test_inductor_gives_the_numbers_of_torch() -> None:
    logits, targets = a_batch("ignored", 100, 60)
    logits = logits.detach().bfloat16().requires_grad_()
    scheme, kept = VirtualSmoothing(0.3, 40), targets >= 0
    loss, gradient = value_and_gradient(
        torch.compile(SmoothedCrossEntropy(scheme, 60), fullgraph=True), logits, targets
    )
    expected = F.cross_entropy(logits[kept].double(), scheme.encode(targets[kept], 60).double())
    (wanted,) = torch.autograd.grad(expected, logits)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-2)


@pytest.mark.parametrize("kind", ["index", "ignored"])
def test_huge_and_masked_logits_compile_to_the_same_numbers(kind: str) -> None:
    logits, targets = a_batch(kind, 7, 4)
    with torch.no_grad():
        logits.mul_(1e4)
        logits[:, 3] = -float("inf")
        targets.clamp_(max=2)
    loss_of = SmoothedCrossEntropy(VirtualSmoothing(0.3, 3), 4)
    expected = value_and_gradient(loss_of, logits, targets)
    assert expected[0].isfinite()
    compiled = torch.compile(loss_of, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(value_and_gradient(compiled, logits, targets), expected)


def test_bad_input_is_told_when_compiling_too() -> None:
    compiled = torch.compile(SmoothedCrossEntropy(VirtualSmoothing(0.3, 3), 4), backend="aot_eager")
    with pytest.raises(Exception, match="needs exactly 7"):
        compiled(torch.randn(ROWS, 8), torch.zeros(ROWS, dtype=torch.long))
