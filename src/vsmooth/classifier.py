"""Finding the layer of a model that computes its logits."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

# What libraries call their classifier; the last component of a module's name.
_CLASSIFIER_NAMES = frozenset(
    "fc classifier classif clf head heads head_fc linear last_linear out output "  # noqa: SIM905
    "output_layer logits out_proj score final_layer final_conv".split()
)


def find_classifier(model: nn.Module, head: str | nn.Module | None = None) -> tuple[str, nn.Linear | nn.Conv2d]:
    """Name and module of the layer that computes the logits: the one that ``head`` names, or the one found.

    Tried in this order: ``model.get_classifier()`` (timm), the conventional names, the only layer, the last layer of a
    Sequential.

    Raises:
        ValueError: no candidate, or several (listed); ``head`` is not a candidate; a layer that cannot be
            replaced: shared or tied weights, parametrizations, hooks, more parameters than weight and bias (adapters),
            fewer than two outputs.
    """
    name, plain = _find(model, head)
    _check_replaceable(model, name, plain)
    return name, plain


def _find(model: nn.Module, head: str | nn.Module | None) -> tuple[str, nn.Linear | nn.Conv2d]:
    layers = {n: m for n, m in model.named_modules() if _can_classify(m)}
    if head is not None:
        return _named_classifier(model, layers, head)
    if not layers or isinstance(_declared(model), nn.Identity):
        raise ValueError(
            f"{type(model).__name__} has no classifier: no Linear or 1x1 Conv2d layer found (a timm model wants "
            "num_classes > 0)"
        )
    likely = _declared_classifier(model, layers) or _with_later(_conventional_classifiers(model, layers), layers)
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
    if isinstance(module, nn.Linear | nn.Conv2d) and is_lazy(module.weight):
        return False  # its shape is not known before a first batch
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


def _with_later(likely: list[str], layers: dict[str, nn.Linear | nn.Conv2d]) -> list[str]:
    """A single layer and any that are defined after it: its name alone does not make it the last."""
    if len(likely) != 1:
        return likely
    names = list(layers)
    return names[names.index(likely[0]) :]


def _outputs(model: nn.Module, layers: dict[str, nn.Linear | nn.Conv2d], container: str) -> list[str]:
    """The last layer within a module, and any beside it with as many outputs: two heads whose logits are pooled."""
    inside = [n for n in layers if n == container or n.startswith(container + ".")]
    if isinstance(model.get_submodule(container), nn.Sequential):
        return inside[-1:]
    return [n for n in inside if layers[n].weight.shape[0] == layers[inside[-1]].weight.shape[0]]


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


def _check_replaceable(model: nn.Module, name: str, plain: nn.Linear | nn.Conv2d) -> None:
    """Refuse a layer whose replacement would silently lose something."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        raise ValueError("DistributedDataParallel would not know the new head: add virtual classes before wrapping")
    if plain.weight.shape[0] < 2:
        raise ValueError(f"the classifier {name!r} has {plain.weight.shape[0]} output: it needs 2 real classes or more")
    names = [n for n, m in model.named_modules(remove_duplicate=False) if m is plain]
    holders = [n for n, m in model.named_modules() if any(p is plain.weight for p in m._parameters.values())]
    if len(names) > 1 or len(holders) > 1:
        shared = ", ".join(map(repr, names if len(names) > 1 else holders))
        raise ValueError(f"the classifier's weight is shared by {shared}; untie it first")
    if parametrize.is_parametrized(plain) or plain._forward_hooks or plain._forward_pre_hooks:
        raise ValueError(f"the classifier {name!r} has a parametrization or hooks that would be lost; remove them")
    own = {n for n, _ in (*plain.named_parameters(), *plain.named_buffers(), *plain.named_children())}
    if extra := sorted(own - {"weight", "bias"}):
        raise ValueError(
            f"the classifier {name!r} ({type(plain).__name__}) has {', '.join(extra)} besides weight and bias, which "
            "would be lost: merge them into its weight (an adapter's merge method) and put a plain "
            f"{'Linear' if isinstance(plain, nn.Linear) else 'Conv2d'} in its place"
        )
