"""What cannot be widened without losing something is refused, with the reason."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vsmooth import add_virtual_classes


class TwoLayers(nn.Module):
    """``fc`` is not the last layer here, whatever its name."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 8)
        self.proj = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.fc(x))


class Tied(nn.Module):
    def __init__(self, share_module: bool) -> None:
        super().__init__()
        self.embedding = nn.Linear(4, 3) if share_module else nn.Embedding(3, 4)
        self.fc = nn.Linear(4, 3)
        if share_module:
            self.fc = self.embedding  # type: ignore[assignment]
        else:
            self.fc.weight = self.embedding.weight


class PooledHeads(nn.Module):
    """A container whose two branches are added up, with as many outputs and other inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Module()
        self.classifier.low = nn.Conv2d(4, 3, 1)
        self.classifier.high = nn.Conv2d(8, 3, 1)


def test_a_layer_defined_after_the_one_with_the_name_makes_it_ambiguous() -> None:
    with pytest.raises(ValueError, match=r"pass head=NAME, one of: 'fc' \(Linear 4 -> 8\), 'proj' \(Linear 8 -> 3\)"):
        add_virtual_classes(TwoLayers())
    model = add_virtual_classes(TwoLayers(), head="proj")
    assert model.train()(torch.randn(2, 4)).shape == (2, 6)


@pytest.mark.parametrize("share_module", [True, False])
def test_shared_weights_are_refused(share_module: bool) -> None:
    with pytest.raises(ValueError, match=r"shared by 'embedding', 'fc'; untie it first"):
        add_virtual_classes(Tied(share_module), head="embedding" if share_module else "fc")


def test_two_branches_with_as_many_outputs_are_ambiguous() -> None:
    with pytest.raises(ValueError, match=r"'classifier.low'.*'classifier.high'"):
        add_virtual_classes(PooledHeads())


def test_a_parametrized_head_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)))
    with pytest.raises(ValueError, match="has a parametrization or hooks that would be lost"):
        add_virtual_classes(model)


def test_a_head_with_a_hook_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    model[1].register_forward_hook(lambda module, inputs, output: None)
    with pytest.raises(ValueError, match="hooks"):
        add_virtual_classes(model)


def test_a_head_with_one_output_is_refused() -> None:
    with pytest.raises(ValueError, match="'1' has 1 output: it needs 2 real classes or more"):
        add_virtual_classes(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1)))


def test_a_lazy_layer_is_no_classifier_yet() -> None:
    with pytest.raises(ValueError, match="has no classifier"):
        add_virtual_classes(nn.Sequential(nn.LazyLinear(3)))


def test_a_wrapped_model_is_refused(tmp_path: object) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(nn.Linear(4, 3))
        with pytest.raises(ValueError, match="add virtual classes before wrapping"):
            add_virtual_classes(wrapped)
    finally:
        torch.distributed.destroy_process_group()
