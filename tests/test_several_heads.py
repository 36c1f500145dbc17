"""Models whose logits come from several layers: distilled, auxiliary, added up."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from vsmooth import VirtualSmoothingLoss, add_virtual_classes, all_logits, remove_virtual_classes
from vsmooth.head import shared_classes, virtual_heads

K, V, D = 5, 3, 6


class Distilled(nn.Module):
    """The mean of two classifiers, which it declares as timm's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, D)
        self.head, self.head_dist = nn.Linear(D, K), nn.Linear(D, K)

    def get_classifier(self) -> tuple[nn.Module, nn.Module]:
        return self.head, self.head_dist

    def forward(self, x: Tensor) -> Tensor:
        features = self.stem(x)
        return (self.head(features) + self.head_dist(features)) / 2


class Auxiliary(nn.Module):
    """A second classifier for training alone."""

    def __init__(self, classes: int = K) -> None:
        super().__init__()
        self.stem, self.fc = nn.Linear(4, D), nn.Linear(D, K)
        self.aux = nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, classes))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.stem(x)
        return (self.fc(features), self.aux(features)) if self.training else self.fc(features)


def test_all_heads_are_widened_and_narrowed_together() -> None:
    torch.manual_seed(0)
    plain, inputs = Distilled().eval(), torch.randn(2, 4)
    model = add_virtual_classes(copy.deepcopy(plain), V, head="all")
    assert torch.equal(model(inputs), plain(inputs))
    with all_logits(model):
        assert model(inputs).shape == (2, K + V)
        torch.testing.assert_close(model(inputs)[:, :K], plain(inputs))
    assert model(inputs).shape == (2, K)
    criterion = VirtualSmoothingLoss.for_model(model, 0.3)
    criterion(model.train()(inputs), torch.tensor([0, 1])).backward()
    assert all(head.weight.grad[K:].abs().sum() > 0 for _, head in virtual_heads(model))
    assert shared_classes(model) == (K, V)
    plain.load_state_dict(remove_virtual_classes(model).state_dict(), strict=True)
    assert torch.equal(plain(inputs), model.eval()(inputs))


def test_auxiliary_heads_are_among_all() -> None:
    model = add_virtual_classes(Auxiliary(), V, head="all")
    assert [name for name, _ in virtual_heads(model)] == ["fc", "aux.2"]
    assert [logits.shape[1] for logits in model(torch.randn(2, 4))] == [K + V, K + V]
    assert [n for n, _ in virtual_heads(add_virtual_classes(Auxiliary(), V, head="fc"))] == ["fc"]
    assert [n for n, _ in virtual_heads(add_virtual_classes(Auxiliary(K + 1), V, head="all"))] == ["fc"]


def test_heads_of_different_tasks_are_not_widened_as_one() -> None:
    with pytest.raises(ValueError, match=r"different numbers of classes: 'fc' \(Linear 6 -> 5\), 'aux.2' \(Linear"):
        add_virtual_classes(Auxiliary(K + 1), V, head=["fc", "aux.2"])
    with pytest.raises(ValueError, match=r"head=\[\] names no layer"):
        add_virtual_classes(Auxiliary(), V, head=[])


def test_one_head_is_all_heads() -> None:
    model = add_virtual_classes(nn.Sequential(nn.Linear(4, D), nn.ReLU(), nn.Linear(D, K)), V, head="all")
    assert [name for name, _ in virtual_heads(model)] == ["2"]


def test_if_one_head_cannot_be_replaced_none_is() -> None:
    model = Distilled()
    model.head_dist.register_forward_hook(lambda module, inputs, output: None)
    with pytest.raises(ValueError, match="'head_dist' has a parametrization or hooks"):
        add_virtual_classes(model, V, head="all")
    assert not virtual_heads(model)


AUX, PLAIN = {"weights_backbone": None, "aux_loss": True}, {"init_weights": False}
TORCHVISION = [
    ("fcn_resnet50", AUX, ["classifier.4", "aux_classifier.4"]),
    ("deeplabv3_mobilenet_v3_large", AUX, ["classifier.4", "aux_classifier.4"]),
    (
        "lraspp_mobilenet_v3_large",
        {"weights_backbone": None},
        ["classifier.low_classifier", "classifier.high_classifier"],
    ),
    ("googlenet", PLAIN, ["aux1.fc2", "aux2.fc2", "fc"]),
    ("inception_v3", PLAIN, ["AuxLogits.fc", "fc"]),
]


@pytest.mark.parametrize(("name", "options", "heads"), TORCHVISION)
def test_the_heads_of_torchvisions_models(name: str, options: dict[str, object], heads: list[str]) -> None:
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):  # no memory, no initialisation
        model = torchvision.models.get_model(name, weights=None, num_classes=K, **options)
    add_virtual_classes(model, V, head="all")
    assert [found for found, _ in virtual_heads(model)] == heads
    assert shared_classes(model) == (K, V)


def test_the_two_branches_of_lraspp_are_added_up() -> None:
    segmentation = pytest.importorskip("torchvision.models.segmentation")
    model = segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=K)
    with pytest.raises(ValueError, match=r'combines the logits of .*low_classifier.*: pass head="all"'):
        add_virtual_classes(model, V, head="classifier.low_classifier")
    add_virtual_classes(model, V, head="all")
    images = torch.randn(2, 3, 32, 32)
    assert model(images)["out"].shape == (2, K + V, 32, 32)
    assert model.eval()(images)["out"].shape == (2, K, 32, 32)
