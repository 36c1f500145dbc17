from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vsmooth import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing, smoothed_cross_entropy

SCHEMES = [
    OneHot(),
    LabelSmoothing(0.2),
    VirtualSmoothing(0.3, 3),
    VirtualSmoothing(0.6, distribution=(0.2, 0.0, 0.8)),
]
FEW_CLASSES, MANY_CLASSES = 3, 34  # the table of labels and the closed form
Loss = Callable[[Tensor], Tensor]


def losses_of_logits(scheme: LabelScheme, num_classes: int, rows: int) -> Iterator[tuple[str, Loss]]:
    index = torch.randint(num_classes, (rows,))
    index_with_ignored = index.where(torch.arange(rows) != 1, -100)
    soft = torch.rand(rows, num_classes, dtype=torch.float64).softmax(1)
    weight = torch.rand(num_classes, dtype=torch.float64) + 0.5
    full_weight = torch.rand(scheme.width(num_classes), dtype=torch.float64) + 0.5
    for name, targets, w in [
        ("index", index, None),
        ("ignored", index_with_ignored, None),
        ("probability", soft, None),
        ("index, weight", index_with_ignored, weight),
        ("probability, weight", soft, weight),
        ("index, weight of all", index, full_weight),
        ("probability, weight of all", soft, full_weight),
    ]:
        for reduction in ("mean", "none"):

            def loss(z: Tensor, y: Tensor = targets, w: Tensor | None = w, r: str = reduction) -> Tensor:
                return smoothed_cross_entropy(z, y, scheme, num_classes, weight=w, reduction=r)  # type: ignore[arg-type]

            yield f"{name}, {reduction}", loss


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsmooth.losses.closed_form._BLOCK_ELEMENTS", 1 << 13)


@pytest.mark.parametrize("num_classes", [FEW_CLASSES, MANY_CLASSES])
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_first_and_second_derivatives_are_those_of_finite_differences(scheme: LabelScheme, num_classes: int) -> None:
    logits = torch.randn(3, scheme.width(num_classes), dtype=torch.float64, requires_grad=True)
    for name, loss in losses_of_logits(scheme, num_classes, 3):
        assert torch.autograd.gradcheck(loss, logits, fast_mode=True), name
        assert torch.autograd.gradgradcheck(loss, logits, fast_mode=True), name


@pytest.mark.usefixtures("small_blocks")
def test_second_derivatives_over_several_blocks_are_those_of_plain_cross_entropy() -> None:
    logits = torch.randn(200, 100, dtype=torch.float64, requires_grad=True)
    targets, scheme = torch.randint(50, (200,)), VirtualSmoothing(0.3)
    dense = scheme.encode(torch.eye(50).double()[targets], 50)
    results = []
    for loss in (
        smoothed_cross_entropy(logits, targets, scheme, 50),
        torch.nn.functional.cross_entropy(logits, dense),
    ):
        (first,) = torch.autograd.grad(loss, logits, create_graph=True)
        results.append(torch.autograd.grad(first.pow(2).sum(), logits)[0])
    torch.testing.assert_close(*results, atol=1e-12, rtol=1e-9)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", [(5, 7), (5, 80), (200, 100)], ids=["table", "one block", "blocks"])
def test_a_second_backward_through_a_retained_graph_gives_the_same(shape: tuple[int, int]) -> None:
    num_classes = shape[1] // 2
    logits, targets = torch.randn(shape, requires_grad=True), torch.randint(num_classes, shape[:1])
    loss = smoothed_cross_entropy(logits, targets, VirtualSmoothing(0.3), num_classes)
    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    kept = first.clone()
    (second,) = torch.autograd.grad(loss, logits)
    assert torch.equal(kept, second)
    assert torch.equal(kept, first)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", [(5, 7), (5, 80), (200, 100)], ids=["few classes", "one block", "blocks"])
def test_several_gradients_at_once_are_those_one_by_one(shape: tuple[int, int]) -> None:
    num_classes = shape[1] // 2
    logits, targets = torch.randn(shape, requires_grad=True), torch.randint(num_classes, shape[:1])
    loss = smoothed_cross_entropy(logits, targets, VirtualSmoothing(0.3), num_classes, reduction="none")
    seeds = torch.rand(2, shape[0])
    one_by_one = torch.stack([torch.autograd.grad(loss, logits, seed, True)[0] for seed in seeds])
    (at_once,) = torch.autograd.grad(loss, logits, seeds, is_grads_batched=True)
    torch.testing.assert_close(at_once, one_by_one)


@pytest.mark.parametrize("num_classes", [FEW_CLASSES, MANY_CLASSES])
@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_learnable_targets_get_the_gradient_torch_gives_them(scheme: LabelScheme, num_classes: int) -> None:
    logits = torch.randn(4, scheme.width(num_classes), dtype=torch.float64)
    scores = torch.randn(4, num_classes, dtype=torch.float64, requires_grad=True)
    dense = scheme.encode(scores.softmax(1), num_classes)
    (expected,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, dense), scores)
    loss = smoothed_cross_entropy(logits.requires_grad_(), scores.softmax(1), scheme, num_classes)
    (gradient,) = torch.autograd.grad(loss, scores, allow_unused=True)
    torch.testing.assert_close(gradient, expected)


class LiveBytes(TorchDispatchMode):
    """Bytes of the results of operations that are still alive, and the most there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def now(self) -> int:
        self.alive = {key: entry for key, entry in self.alive.items() if not entry[0].expired()}
        return sum(size for _, size in self.alive.values())

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        before = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in before:
                storage = tensor.untyped_storage()
                self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, self.now())
        return result


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ["index", "probability"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("scheme", [OneHot(), LabelSmoothing(0.2), VirtualSmoothing(0.3)], ids=repr)
def test_the_only_buffer_of_the_size_of_the_logits_is_their_gradient(
    scheme: LabelScheme, dtype: torch.dtype, kind: str
) -> None:
    rows, width = 1000, 200  # many blocks
    num_classes = width // 2 if isinstance(scheme, VirtualSmoothing) else width
    logits = torch.randn(rows, width, dtype=dtype, requires_grad=True)
    targets = torch.randint(num_classes, (rows,))
    targets = torch.eye(num_classes, dtype=dtype)[targets] if kind == "probability" else targets
    one = logits.nbytes
    with LiveBytes() as memory:
        loss = smoothed_cross_entropy(logits, targets, scheme, num_classes)
        assert memory.now() < 0.05 * one
        assert memory.peak < 0.5 * one
        loss.backward()
    assert memory.peak < 1.5 * one
    assert logits.grad is not None
    del loss
    assert memory.now() == one


def test_blocks_are_small_beside_a_batch_of_a_thousand_classes() -> None:
    logits, targets = torch.randn(4096, 1000, requires_grad=True), torch.randint(500, (4096,))
    with LiveBytes() as memory:
        smoothed_cross_entropy(logits, targets, VirtualSmoothing(0.3), 500).backward()
    assert memory.peak < 1.5 * logits.nbytes


def test_the_measure_of_memory_sees_the_buffers_of_plain_cross_entropy() -> None:
    logits = torch.randn(2000, 1000, requires_grad=True)
    dense = VirtualSmoothing(0.3).encode(torch.randint(500, (2000,)), 500)
    with LiveBytes() as memory:
        loss = torch.nn.functional.cross_entropy(logits, dense)
        assert memory.now() >= logits.nbytes
        loss.backward()
    assert memory.peak >= 2 * logits.nbytes
