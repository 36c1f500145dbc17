from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsmooth import add_virtual_classes, all_logits, remove_virtual_classes
from vsmooth.head import virtual_heads

K, V, D = 5, 3, 6


class Network(nn.Module):
    """The members by name, called one after the other."""

    def __init__(self, **members: nn.Module) -> None:
        super().__init__()
        for name, member in members.items():
            self.add_module(name, member)

    def forward(self, x: Tensor) -> Tensor:
        for member in self.children():
            x = member(x)
        return x


class Declaring(Network):
    """A model that says which layer is its classifier, as timm's do."""

    declared: tuple[str, ...] = ()

    def get_classifier(self) -> nn.Module | tuple[nn.Module, ...]:
        found = tuple(self.get_submodule(name) for name in self.declared)
        return found[0] if len(found) == 1 else found


class SubLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)


class Cosines(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return F.linear(F.normalize(input), F.normalize(self.weight))


def linear(out: int = K, features: int = D) -> nn.Linear:
    return nn.Linear(features, out)


def mlp() -> nn.Sequential:
    return nn.Sequential(linear(D), nn.ReLU(), linear())


def conv_net(**options: object) -> nn.Sequential:
    conv = nn.Conv2d(8, K, 1, **options)  # type: ignore[arg-type]
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def torchvision_model(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        models = pytest.importorskip("torchvision.models")
        with torch.device("meta"):  # no memory, no initialisation
            return models.get_model(name, weights=None, num_classes=K)

    return build


def declaring(*names: str, **members: nn.Module) -> Declaring:
    model = Declaring(**members)
    model.declared = names
    return model


FOUND: list[tuple[Callable[[], nn.Module], str]] = [
    (torchvision_model("resnet18"), "fc"),
    (torchvision_model("vgg11"), "classifier.6"),
    (torchvision_model("vit_b_32"), "heads.head"),
    (torchvision_model("squeezenet1_1"), "classifier.1"),
    (torchvision_model("mobilenet_v3_small"), "classifier.3"),
    (lambda: Network(backbone=linear(D), network=Network(body=linear(D), fc=linear())), "network.fc"),
    (lambda: Network(body=linear(D), head=Network(norm=nn.LayerNorm(D), fc=linear())), "head.fc"),
    (lambda: Network(body=linear(D), head=nn.Sequential(linear(K), nn.ReLU(), linear(K, K))), "head.2"),
    (lambda: Network(only=linear(), activation=nn.ReLU()), "only"),
    (mlp, "2"),
    (lambda: nn.Sequential(nn.Sequential(linear(D)), nn.Sequential(nn.ReLU(), linear()), nn.Dropout()), "1.1"),
    (conv_net, "2"),
    (lambda: declaring("second", fc=linear(), second=linear()), "second"),
    (lambda: declaring("second", fc=linear(), second=Network(norm=nn.LayerNorm(D), l=linear())), "second.l"),
    (lambda: Network(body=linear(D), classifier=SubLinear(D, K)), "classifier"),
    (lambda: Network(attention=nn.MultiheadAttention(4, 2), to_classes=linear()), "to_classes"),
]


@pytest.mark.parametrize(("build", "name"), FOUND)
def test_the_classifier_is_found_by_convention(build: Callable[[], nn.Module], name: str) -> None:
    model = build()
    real = model.get_submodule(name).weight.shape[0]
    assert add_virtual_classes(model, V) is model
    ((found, head),) = virtual_heads(model)
    assert found == name
    assert (head.num_classes, head.num_virtual, head.weight.shape[0]) == (real, V, real + V)


AMBIGUOUS: list[tuple[Callable[[], nn.Module], list[str]]] = [
    (lambda: Network(stem=linear(D), top=linear()), ["'top' (Linear 6 -> 5)"]),  # stem's outputs are top's inputs
    (lambda: Network(fc=linear(), head=linear()), ["'fc' (Linear 6 -> 5)", "'head' (Linear 6 -> 5)"]),
    (lambda: Network(linear=linear(9), out=linear(K, 9)), ["'out' (Linear 9 -> 5)"]),
    (lambda: Network(a=nn.Conv2d(3, 8, 1), b=linear()), ["'a' (Conv2d 3 -> 8)", "'b' (Linear 6 -> 5)"]),
]


@pytest.mark.parametrize(("build", "candidates"), AMBIGUOUS)
def test_an_ambiguous_model_is_left_alone_and_its_candidates_listed(
    build: Callable[[], nn.Module], candidates: list[str]
) -> None:
    model = build()
    with pytest.raises(ValueError, match=r"cannot tell which layer of .* is the classifier; pass head=.*: ") as error:
        add_virtual_classes(model, V)
    assert re.findall(r"'\w+' \(.*?\)", str(error.value)) == candidates
    assert not virtual_heads(model)


# Their logits are added up, so that widening one of them would not do.
TOGETHER: list[tuple[Callable[[], nn.Module], list[str]]] = [
    (
        lambda: declaring("head", "head_dist", stem=linear(D), head=linear(), head_dist=linear()),
        ["'head' (Linear 6 -> 5)", "'head_dist' (Linear 6 -> 5)"],
    ),
    (
        lambda: declaring("head", stem=linear(D), head=Network(a=linear(), b=linear())),
        ["'head.a' (Linear 6 -> 5)", "'head.b' (Linear 6 -> 5)"],
    ),
    (
        lambda: declaring("head", stem=linear(D), head=nn.ModuleList([linear(), linear(K, 9)])),
        ["'head.0' (Linear 6 -> 5)", "'head.1' (Linear 9 -> 5)"],
    ),
    (
        lambda: Network(stem=linear(D), head=Network(a=linear(), b=linear())),
        ["'head.a' (Lin", "'head.b' (Lin"],
    ),
]


@pytest.mark.parametrize(("build", "candidates"), TOGETHER)
def test_classifiers_that_work_together_get_virtual_classes_together(
    build: Callable[[], nn.Module], candidates: list[str]
) -> None:
    model = build()
    with pytest.raises(ValueError, match=r'because several work together: .*; pass head="all"$') as error:
        add_virtual_classes(model, V)
    assert all(candidate in str(error.value) for candidate in candidates)
    names = [name for name, _ in model.named_modules() if f"'{name}' (Linear" in str(error.value)]
    with pytest.raises(ValueError, match=r'combines the logits of .*, which must .* classes: pass head="all"'):
        add_virtual_classes(model, V, head=names[0])
    assert not virtual_heads(model)
    for head in ("all", names):
        wide = add_virtual_classes(build(), V, head)
        assert [name for name, _ in virtual_heads(wide)] == names


def test_the_head_can_be_given_by_name_or_by_module() -> None:
    for pick in ("top", "module"):
        model = Network(stem=linear(D), top=linear())
        add_virtual_classes(model, V, head=model.get_submodule("top") if pick == "module" else pick)
        assert [name for name, _ in virtual_heads(model)] == ["top"]
        assert model(torch.randn(2, D)).shape == (2, K + V)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("tops", r"head='tops' is not a .* layer of Network; its candidates are: 'stem' .*, 'top' \(Linear"),
        ("act", r"head='act' is not a Linear or 1x1 Conv2d"),
        (linear(), r"the given head \(Linear\) is not a .* layer of Network"),
    ],
)
def test_a_head_that_is_not_there_is_told(head: str | nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        add_virtual_classes(Network(stem=linear(D), act=nn.ReLU(), top=linear()), V, head)


def test_what_comes_after_a_layer_is_told() -> None:
    with pytest.raises(ValueError, match=r"has no classifier: its Linear .* are within blocks or before other layers"):
        add_virtual_classes(nn.Sequential(linear(D), linear(), nn.BatchNorm1d(K)), V)


NO_CLASSIFIER = [
    nn.Sequential(nn.Conv2d(3, K, 3), nn.ReLU()),
    conv_net(stride=2),
    conv_net(padding=1),
    nn.Sequential(nn.Conv2d(K, K, 1, groups=K)),
    Network(attention=nn.MultiheadAttention(4, 2)),
    nn.Identity(),
    declaring("fc", downsample=nn.Conv2d(3, 8, 1), fc=nn.Identity()),
]


@pytest.mark.parametrize("model", NO_CLASSIFIER)
def test_a_model_without_a_classifier_is_told(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"has no classifier: no Linear or 1x1 Conv2d layer found"):
        add_virtual_classes(model, V)


def test_a_classifier_that_computes_something_else_is_told() -> None:
    with pytest.raises(ValueError, match="is a Cosines, which computes something else than a plain layer"):
        add_virtual_classes(Network(fc=Cosines(D, K)), V)


class LowRank(nn.Linear):
    """LoRA as many write it: `up` starts at zero, so at first it computes what a plain layer computes."""

    def __init__(self, features: int, out: int) -> None:
        super().__init__(features, out)
        self.down, self.up = nn.Parameter(torch.randn(2, features)), nn.Parameter(torch.zeros(out, 2))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + input @ self.down.T @ self.up.T


def counting() -> nn.Linear:
    layer = linear()
    layer.register_buffer("calls", torch.zeros(()))
    return layer


def with_child() -> nn.Conv2d:
    layer = nn.Conv2d(D, K, 1)
    layer.adapter = nn.Identity()
    return layer


@pytest.mark.parametrize(
    ("layer", "kind", "extra", "remedy"),
    [
        (LowRank(D, K), "LowRank", "down, up", "put a plain Linear in its place"),
        (counting(), "Linear", "calls", "put a plain Linear in its place"),
        (with_child(), "Conv2d", "adapter", "put a plain Conv2d in its place"),
    ],
)
def test_what_a_classifier_has_besides_weight_and_bias_is_not_dropped(
    layer: nn.Module, kind: str, extra: str, remedy: str
) -> None:
    model = Network(fc=layer)
    message = rf"'fc' \({kind}\) has {extra} besides weight and bias, which would be lost: merge them .* {remedy}"
    with pytest.raises(ValueError, match=message):
        add_virtual_classes(model, V)
    assert model.fc is layer


@pytest.mark.parametrize("num_virtual", [0, -1, True, 2.0, "3"])
def test_a_number_of_virtual_classes_below_one_or_not_whole_is_told(num_virtual: int) -> None:
    with pytest.raises(ValueError, match=r"num_virtual must be a whole number of at least 1 .*, got"):
        add_virtual_classes(mlp(), num_virtual)


def test_models_that_have_virtual_classes_already_or_none_are_told() -> None:
    model = add_virtual_classes(mlp(), V)
    with pytest.raises(ValueError, match="has virtual classes already; remove_virtual_classes"):
        add_virtual_classes(model, V)
    for change in (remove_virtual_classes, lambda m: all_logits(m).__enter__()):
        with pytest.raises(ValueError, match="Sequential has no virtual classes; add them with"):
            change(mlp())
