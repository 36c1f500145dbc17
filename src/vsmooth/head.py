"""The head: K real classes and V virtual ones in training, K in inference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

# What libraries call their classifier; the last component of a module's name.
_CLASSIFIER_NAMES = frozenset(
    "fc classifier classif clf head heads head_fc linear last_linear out output "  # noqa: SIM905
    "output_layer logits out_proj score final_layer final_conv".split()
)
Module = TypeVar("Module", bound=nn.Module)


class VirtualHead:
    """What :class:`VirtualLinear` and :class:`VirtualConv2d` share; rows ``0..K-1`` of the weight are the real classes.

    ``num_classes`` is K, ``num_virtual`` is V. In train mode, or within :func:`all_logits`, the output has K + V
    channels; in eval mode K, and the virtual rows are not computed.
    """

    training: bool
    num_classes: int
    num_virtual: int
    keep_virtual: bool = False

    def _used(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.training or self.keep_virtual:
            return weight, bias
        return weight[: self.num_classes], None if bias is None else bias[: self.num_classes]

    def extra_repr(self) -> str:
        return f"num_classes={self.num_classes}, num_virtual={self.num_virtual}"


class VirtualLinear(VirtualHead, nn.Linear):
    """A ``Linear`` classifier with V virtual classes: (..., D) -> (..., K + V) in train mode, (..., K) in eval mode."""

    def __init__(self, plain: nn.Linear, num_virtual: int) -> None:
        nn.Linear.__init__(self, plain.in_features, plain.out_features + num_virtual, plain.bias is not None)
        _copy_real_rows(self, plain, num_virtual)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, *self._used(self.weight, self.bias))

    def plain(self) -> nn.Linear:
        """An ordinary K-way ``Linear`` with the real rows."""
        empty = nn.Linear(self.in_features, self.num_classes, self.bias is not None, device="meta")
        return _with_real_rows(empty, self)


class VirtualConv2d(VirtualHead, nn.Conv2d):
    """A 1x1 ``Conv2d`` classifier with V virtual classes: (N, D, H, W) -> (N, K + V, H, W), K in eval mode."""

    def __init__(self, plain: nn.Conv2d, num_virtual: int) -> None:
        nn.Conv2d.__init__(self, plain.in_channels, plain.out_channels + num_virtual, 1, bias=plain.bias is not None)
        _copy_real_rows(self, plain, num_virtual)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, *self._used(self.weight, self.bias))

    def plain(self) -> nn.Conv2d:
        """An ordinary K-way 1x1 ``Conv2d`` with the real rows."""
        empty = nn.Conv2d(self.in_channels, self.num_classes, 1, bias=self.bias is not None, device="meta")
        return _with_real_rows(empty, self)


def add_virtual_classes(
    model: Module, num_virtual: int | None = None, head: str | nn.Module | None = None
) -> Module | VirtualLinear | VirtualConv2d:
    """Give the classifier of ``model`` V virtual classes, in place.

    The model then returns K + V logits in train mode and K in eval mode, at the cost of the plain model. The rows of
    the real classes are kept bit for bit, so a pretrained model can be fine-tuned; virtual rows start as a fresh
    layer would. Add the classes before building the optimizer: the classifier's parameters are new objects.

    Args:
        model: any module whose classifier is one ``Linear`` or 1x1 ``Conv2d``. If ``model`` is that layer itself, the
            new layer is returned.
        num_virtual: V; ``None`` means V = K.
        head: the classifier, by module or by name as in ``model.named_modules()``, where it is not found by itself.

    Returns:
        ``model``, changed in place.

    Raises:
        ValueError: V < 1; no classifier, or more than one that could be it (the message lists them); the model has
            virtual classes already.
    """
    whole = isinstance(num_virtual, int) and not isinstance(num_virtual, bool)
    if num_virtual is not None and (not whole or num_virtual < 1):
        raise ValueError(f"num_virtual must be a whole number of at least 1 (or None for V = K), got {num_virtual!r}")
    if virtual_heads(model):
        raise ValueError("the model has virtual classes already; remove_virtual_classes(model) takes them off")
    name, plain = _find_classifier(model, head)
    count = num_virtual or plain.weight.shape[0]
    wide = VirtualLinear(plain, count) if isinstance(plain, nn.Linear) else VirtualConv2d(plain, count)
    if type(plain) not in (nn.Linear, nn.Conv2d):
        _check_same_map(plain, wide.plain())
    return _replace(model, name, wide)


def remove_virtual_classes(model: Module) -> Module | nn.Linear | nn.Conv2d:
    """Give back an ordinary K-way model, in place: its state dict loads into the plain architecture.

    The real logits are bit-equal to those of the wide model in eval mode.

    Raises:
        ValueError: the model has no virtual classes.
    """
    name, wide = _only_head(model)
    return _replace(model, name, wide.plain())


@contextmanager
def all_logits(model: nn.Module) -> Iterator[nn.Module]:
    """Within the context ``model`` returns all K + V logits in eval mode too (attacks, analysis, a validation loss).

    Raises:
        ValueError: the model has no virtual classes.
    """
    _, wide = _only_head(model)
    before = wide.keep_virtual
    wide.keep_virtual = True
    try:
        yield model
    finally:
        wide.keep_virtual = before


def virtual_heads(model: nn.Module) -> list[tuple[str, VirtualLinear | VirtualConv2d]]:
    """Names and modules of the heads with virtual classes; works through DDP and ``torch.compile`` wrappers."""
    return [(n, m) for n, m in model.named_modules() if isinstance(m, VirtualLinear | VirtualConv2d)]


def _only_head(model: nn.Module) -> tuple[str, VirtualLinear | VirtualConv2d]:
    found = virtual_heads(model)
    if not found:
        raise ValueError(f"{type(model).__name__} has no virtual classes; add them with add_virtual_classes(model)")
    if len(found) > 1:
        listed = ", ".join(repr(name) for name, _ in found)
        raise ValueError(f"{type(model).__name__} has more than one head with virtual classes: {listed}; pass one")
    return found[0]


@torch.no_grad()
def _copy_real_rows(wide: VirtualLinear | VirtualConv2d, plain: nn.Linear | nn.Conv2d, num_virtual: int) -> None:
    wide.num_classes, wide.num_virtual = plain.weight.shape[0], num_virtual
    wide.to(plain.weight.device, plain.weight.dtype)
    wide.weight[: wide.num_classes] = plain.weight
    wide.weight.requires_grad_(plain.weight.requires_grad)
    if wide.bias is not None and plain.bias is not None:
        wide.bias[: wide.num_classes] = plain.bias
        wide.bias.requires_grad_(plain.bias.requires_grad)
    wide.train(plain.training)


@torch.no_grad()
def _check_same_map(plain: nn.Linear | nn.Conv2d, copy: nn.Linear | nn.Conv2d) -> None:
    """A subclass may compute something else, such as cosines, which the wide layer would not."""
    probe = plain.weight[:1] + 1
    if not probe.is_meta and not torch.equal(plain.forward(probe), copy.forward(probe)):
        raise ValueError(
            f"the classifier is a {type(plain).__name__}, which computes something else than a plain layer: "
            "virtual classes would change its real logits"
        )


Plain = TypeVar("Plain", nn.Linear, nn.Conv2d)


def _with_real_rows(empty: Plain, wide: VirtualLinear | VirtualConv2d) -> Plain:
    real = wide.num_classes
    empty.weight = nn.Parameter(wide.weight.detach()[:real].clone(), wide.weight.requires_grad)
    if wide.bias is not None:
        empty.bias = nn.Parameter(wide.bias.detach()[:real].clone(), wide.bias.requires_grad)
    return empty.train(wide.training)


def _replace(model: Module, name: str, new: nn.Module) -> Module:
    if not name:
        return new  # type: ignore[return-value]
    model.set_submodule(name, new)
    return model


def _find_classifier(model: nn.Module, head: str | nn.Module | None) -> tuple[str, nn.Linear | nn.Conv2d]:
    layers = {n: m for n, m in model.named_modules() if _can_classify(m)}
    if head is not None:
        return _named_classifier(model, layers, head)
    if not layers or isinstance(_declared(model), nn.Identity):
        raise ValueError(
            f"{type(model).__name__} has no classifier: no Linear or 1x1 Conv2d layer found (a timm model wants "
            "num_classes > 0)"
        )
    likely = _declared_classifier(model, layers) or _conventional_classifiers(model, layers)
    likely = likely or (list(layers) if len(layers) == 1 else _last_of_sequential(model, layers))
    if len(likely) == 1:
        return likely[0], layers[likely[0]]
    listed = ", ".join(f"{n!r} ({_shape(layers[n])})" for n in (likely or list(layers))[-8:])
    raise ValueError(
        f"cannot tell which layer of {type(model).__name__} is the classifier; pass head=NAME, one of: {listed}"
    )


def _named_classifier(
    model: nn.Module, layers: dict[str, nn.Linear | nn.Conv2d], head: str | nn.Module
) -> tuple[str, nn.Linear | nn.Conv2d]:
    for name, layer in layers.items():
        if layer is head or name == head:
            return name, layer
    wanted = f"head={head!r}" if isinstance(head, str) else f"the given head ({type(head).__name__})"
    listed = ", ".join(f"{n!r} ({_shape(m)})" for n, m in list(layers.items())[-8:]) or "none"
    raise ValueError(
        f"{wanted} is not a Linear or 1x1 Conv2d layer of {type(model).__name__}; its candidates are: {listed}"
    )


def _can_classify(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        pointwise = module.kernel_size == module.stride == (1, 1) and module.groups == 1
        return pointwise and module.padding in ((0, 0), "valid", "same")
    # The projection within an attention layer is never called as a layer.
    return isinstance(module, nn.Linear) and not isinstance(module, NonDynamicallyQuantizableLinear)


def _declared(model: nn.Module) -> object:
    """The answer of ``model.get_classifier()``, timm's convention: a module, several, or Identity for none."""
    getter = getattr(model, "get_classifier", None)
    return getter() if callable(getter) else None


def _declared_classifier(model: nn.Module, layers: dict[str, nn.Linear | nn.Conv2d]) -> list[str]:
    declared = _declared(model)
    members = declared if isinstance(declared, tuple | list | nn.ModuleList) else (declared,)
    names = [name for name, module in model.named_modules() if any(module is member for member in members)]
    return [layer for name in names for layer in _outputs(model, layers, name)]


def _conventional_classifiers(model: nn.Module, layers: dict[str, nn.Linear | nn.Conv2d]) -> list[str]:
    """Layers with, or last within a container with, a classifier's name, at the outermost level that has one."""
    named = [n for n, _ in model.named_modules() if n.rpartition(".")[2] in _CLASSIFIER_NAMES]
    outputs = {n: found for n in named if (found := _outputs(model, layers, n))}
    outermost = min((n.count(".") for n in outputs), default=0)
    return [layer for n, found in outputs.items() if n.count(".") == outermost for layer in found]


def _outputs(model: nn.Module, layers: dict[str, nn.Linear | nn.Conv2d], container: str) -> list[str]:
    """The last layer within a module, and any beside it of the same shape: two heads whose logits are pooled."""
    inside = [n for n in layers if n == container or n.startswith(container + ".")]
    if isinstance(model.get_submodule(container), nn.Sequential):
        return inside[-1:]
    return [n for n in inside if _shape(layers[n]) == _shape(layers[inside[-1]])]


def _last_of_sequential(model: nn.Module, layers: dict[str, nn.Linear | nn.Conv2d]) -> list[str]:
    """The last layer of a (nested) Sequential, if nothing with parameters comes after it."""
    name, module = "", model
    while isinstance(module, nn.Sequential):
        with_parameters = [n for n, child in module.named_children() if any(True for _ in child.parameters())]
        name = f"{name}.{with_parameters[-1]}".lstrip(".")
        module = model.get_submodule(name)
    return [name] if name in layers else []


def _shape(layer: nn.Linear | nn.Conv2d) -> str:
    return f"{type(layer).__name__} {layer.weight.shape[1]} -> {layer.weight.shape[0]}"
