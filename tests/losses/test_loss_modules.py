from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vsmooth import (
    LabelSmoothing,
    SmoothedCrossEntropy,
    VirtualSmoothing,
    VirtualSmoothingLoss,
    add_virtual_classes,
)

K, V, ROWS = 4, 3, 8


def a_batch() -> tuple[Tensor, Tensor]:
    return torch.randn(ROWS, K + V), torch.randint(K, (ROWS,))


MODULES = [
    VirtualSmoothingLoss(K, 0.3),
    VirtualSmoothingLoss(K, 0.3, V, weight=torch.arange(1.0, K + 1), ignore_index=1, reduction="sum"),
    SmoothedCrossEntropy(VirtualSmoothing(0.3, distribution=(0.2, 0.0, 0.8)), K, reduction="none"),
]


@pytest.mark.parametrize("module", MODULES, ids=repr)
def test_a_copied_or_pickled_module_gives_the_same_loss(module: nn.Module) -> None:
    logits, targets = a_batch()
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    copies = [
        copy.deepcopy(module),
        pickle.loads(pickle.dumps(module)),
        torch.load(file, weights_only=False),
    ]
    assert all(torch.equal(other(logits, targets), module(logits, targets)) for other in copies)


def test_the_weight_is_a_buffer_that_is_saved_loaded_and_moved() -> None:
    logits, targets = a_batch()
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    module = VirtualSmoothingLoss(K, 0.3, weight=weight)
    assert list(module.state_dict()) == ["weight"]
    assert not list(module.parameters())
    other = VirtualSmoothingLoss(K, 0.3, weight=torch.ones(K))
    assert not torch.isclose(other(logits, targets), module(logits, targets))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(logits, targets), module(logits, targets))
    assert module.double().weight.dtype == torch.float64
    assert VirtualSmoothingLoss(K, 0.3).state_dict() == {}


def test_a_module_shows_what_it_is() -> None:
    text = repr(VirtualSmoothingLoss(K, 0.3, V, reduction="sum"))
    assert text.startswith("VirtualSmoothingLoss(VirtualSmoothing(alpha=0.3, num_virtual=3")
    assert "num_classes=4, reduction='sum'" in text
    assert "LabelSmoothing(alpha=0.1)" in repr(SmoothedCrossEntropy(LabelSmoothing(0.1), K))


def test_a_weight_of_another_dtype_counts_in_the_dtype_of_the_loss() -> None:
    logits, targets = a_batch()
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    expected = VirtualSmoothingLoss(K, 0.3, weight=weight)(logits, targets)
    for dtype in (torch.float64, torch.bfloat16, torch.int64):
        loss = VirtualSmoothingLoss(K, 0.3, weight=weight.to(dtype))(logits, targets)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected)


def a_network() -> nn.Module:
    torch.manual_seed(3)
    return add_virtual_classes(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, K)), V)


def batch_of_all() -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    return torch.randn(ROWS, 6), torch.randint(K, (ROWS,))


def gradients_of_one_half(rank: int, folder: str) -> list[Tensor | None]:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    try:
        network = DistributedDataParallel(a_network())
        images, targets = (t.chunk(2)[rank] for t in batch_of_all())
        VirtualSmoothingLoss(K, 0.3)(network(images), targets).backward()
        return [parameter.grad for parameter in network.parameters()]
    finally:
        dist.destroy_process_group()


def second_process(_: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.save(gradients_of_one_half(1, folder), f"{folder}/gradients.pt")


def test_two_processes_get_the_gradient_of_one(tmp_path: Path) -> None:
    other = torch.multiprocessing.spawn(second_process, (str(tmp_path),), join=False)
    gradients = gradients_of_one_half(0, str(tmp_path))
    while not other.join():
        pass
    network, (images, targets) = a_network(), batch_of_all()
    VirtualSmoothingLoss(K, 0.3)(network(images), targets).backward()
    expected = [parameter.grad for parameter in network.parameters()]
    torch.testing.assert_close(gradients, expected)
    torch.testing.assert_close(torch.load(tmp_path / "gradients.pt", weights_only=True), expected)
