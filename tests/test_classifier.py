"""What cannot be widened without losing something is refused, with the reason."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import vsmooth
from vsmooth import VirtualSmoothingLoss, add_virtual_classes, remove_virtual_classes


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
    with pytest.raises(ValueError, match=r"pass head='proj' if it computes the logits: 'proj' \(Linear 8 -> 3\)"):
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


class Prototypes(nn.Module):
    """A classifier that is no Linear: distances to learned points."""

    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.randn(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(x, self.points)


def named(classifier: nn.Module) -> nn.Module:
    model = nn.Module()
    model.fc, model.last = nn.Linear(4, 8), classifier
    return model


LAST = [Prototypes, lambda: nn.LazyLinear(3), lambda: torch.ao.nn.quantized.dynamic.Linear(8, 3)]


@pytest.mark.parametrize("last", LAST, ids=["custom", "lazy", "quantised"])
@pytest.mark.filterwarnings("ignore:torch.ao")
def test_the_last_known_layer_is_not_taken_for_the_classifier(last: type[nn.Module]) -> None:
    """It was widened without a word, and the next layer then failed in the forward pass."""
    layers = (nn.Linear(4, 8), nn.ReLU(), last())
    for model in (nn.Sequential(*layers), nn.Sequential(nn.Linear(4, 4), nn.Sequential(*layers))):
        with pytest.raises(ValueError, match=r"Sequential has no classifier: its Linear .* before other layers"):
            add_virtual_classes(model)
        hidden = next(name for name, module in model.named_modules() if module is layers[0])
        with pytest.raises(ValueError, match="no classifier, for its outputs are the inputs of '2' in a Sequential"):
            add_virtual_classes(model, head=hidden)
    with pytest.raises(ValueError, match=r"whether 'fc' .* the classifier, because 'last' .* after it; pass head='fc'"):
        add_virtual_classes(named(last()))


def test_a_norm_after_the_layer_with_the_name_is_seen() -> None:
    model = nn.Sequential()
    model.add_module("fc", nn.Linear(4, 3))
    model.add_module("norm", nn.BatchNorm1d(3, affine=False))
    with pytest.raises(ValueError, match="'fc' is no classifier, for its outputs are the inputs of 'norm'"):
        add_virtual_classes(model)


def test_projections_of_attention_are_no_candidates() -> None:
    model = nn.Module()
    model.layers = nn.ModuleList([nn.ModuleDict({"q_proj": nn.Linear(4, 4), "up": nn.Linear(4, 8)}) for _ in range(2)])
    with pytest.raises(ValueError, match="has no classifier: its Linear and 1x1 Conv2d layers are within blocks"):
        add_virtual_classes(model)
    model.first, model.second = nn.Linear(4, 3), nn.Linear(4, 2)
    with pytest.raises(ValueError, match=r"pass head=NAME, one of: 'first' \(Linear 4 -> 3\), 'second' \(L[^,]*$"):
        add_virtual_classes(model)


class Packed(nn.Linear):
    """A layer whose weight holds two numbers in a byte, as four-bit quantisation does."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.weight = nn.Parameter(torch.zeros(6, 1, dtype=torch.uint8), requires_grad=False)


def test_a_quantised_head_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'1' \(Packed\) is quantised \(Parameter, torch.uint8\), .*: leave it out"):
        add_virtual_classes(nn.Sequential(nn.Linear(4, 4), Packed()))


def test_adapters_of_peft_are_refused_and_the_order_that_works_is_named() -> None:
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        vocab_size=8, num_labels=3)  # fmt: skip
    build = transformers.BertForSequenceClassification
    for options in ({"target_modules": ["query", "classifier"]}, {"modules_to_save": ["classifier"]}):
        lora = peft.LoraConfig(**{"target_modules": ["query"], **options}, r=2)
        with pytest.raises(ValueError, match=r"is within an adapter \(.*before get_peft_model, .* modules_to_save"):
            add_virtual_classes(peft.get_peft_model(build(config), lora))
    lora = peft.LoraConfig(target_modules=["query"], modules_to_save=["classifier"], r=2)
    model = peft.get_peft_model(add_virtual_classes(build(config), 2), lora)
    tokens = torch.zeros(2, 3, dtype=torch.long)
    assert model.train()(tokens).logits.shape == (2, 5)
    assert model.eval()(tokens).logits.shape == (2, 3)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    vsmooth.check(model, VirtualSmoothingLoss.for_model(model, 0.3), optimizer)
    assert remove_virtual_classes(model).train()(tokens).logits.shape == (2, 3)


def test_a_wrapped_model_is_refused(tmp_path: object) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(nn.Linear(4, 3))
        with pytest.raises(ValueError, match="add virtual classes before wrapping"):
            add_virtual_classes(wrapped)
    finally:
        torch.distributed.destroy_process_group()
