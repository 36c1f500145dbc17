"""Finding the layer of a model that computes its logits, or the layers where several do."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.parameter import is_lazy

from vsmooth.candidates import last_ones, listed, remedy
from vsmooth.replaceable import Layer, check_no_adapter, check_replaceable
from vsmooth.surroundings import after_in_sequential, unknown_after, within_blocks

# What libraries call their classifier; the last component of a module's name.
_CLASSIFIER_NAMES = frozenset(
    "fc classifier classif clf head heads head_fc linear last_linear out output output_layer logits out_proj "  # noqa: SIM905
    "score final_layer final_conv lm_head classification_head logits_proj cls_classifier distillation_classifier "
    "classifier_distill aux_classifier".split()
)
Head = str | nn.Module | Sequence[str | nn.Module] | None


def find_classifier(model: nn.Module, head: str | nn.Module | None = None) -> tuple[str, Layer]:
    """Name and module of the layer that computes the logits: the one that ``head`` names, or the one found.

    Tried in this order: ``model.get_classifier()`` (timm), the conventional names, the only layer, the last layer of a
    Sequential.

    Raises:
        ValueError: no candidate, or several (listed); ``head`` is not a candidate; a layer that cannot be
            replaced: shared or tied weights, parametrizations, hooks, adapters, quantised weights, fewer than two
            outputs.
    """
    ((name, layer),) = find_classifiers(model, head)
    return name, layer


def find_classifiers(model: nn.Module, head: Head = None) -> list[tuple[str, Layer]]:
    """:func:`find_classifier` for models whose logits come from several layers.

    ``head``: ``None`` for the only one; a name or a module; a sequence of these; ``"all"`` for every classifier of a
    model that has several with equally many classes (distilled or auxiliary heads).

    Raises:
        ValueError: as :func:`find_classifier`; a head alone whose logits are pooled with those of others; heads with
            different numbers of outputs.
    """
    layers = {name: module for name, module in model.named_modules() if _can_classify(module)}
    if head is None:
        names = [_the_only_one(model, layers)]
    elif isinstance(head, str) and head == "all":
        names = _every_one(model, layers)
    else:
        names = [_named(model, layers, wanted) for wanted in _as_sequence(head)]
        _check_whole(model, layers, names)
    _check_equal_outputs(layers, names)
    for name in names:
        check_replaceable(model, name, layers[name])
    return [(name, layers[name]) for name in names]


def _as_sequence(head: str | nn.Module | Sequence[str | nn.Module]) -> Sequence[str | nn.Module]:
    if isinstance(head, str | nn.Module):
        return [head]
    if not head:
        raise ValueError('head=[] names no layer; pass head="all" for every classifier, or head=None for the only one')
    return list(head)


def _the_only_one(model: nn.Module, layers: dict[str, Layer]) -> str:
    likely = _likely(model, layers)
    if len(likely) == 1 and _declared(model) is not None:  # timm's VOLO adds up the logits of both
        likely += [name for name in _auxiliary(model, layers, likely[0]) if name != likely[0]]
    if len(likely) == 1:
        return likely[0]
    for name in likely:
        check_no_adapter(model, name)
    if likely in _pooled(model, layers):
        raise ValueError(
            f"cannot tell which layer of {type(model).__name__} is the classifier, because several work together: "
            f'{listed(layers, likely)}; pass head="all"'
        )
    outside = likely or [name for name in layers if not within_blocks(model, name)]
    candidates = last_ones(layers, [name for name in outside if not after_in_sequential(model, name)])
    if not candidates:
        raise _no_classifier(model, "its Linear and 1x1 Conv2d layers are within blocks or before other layers")
    raise ValueError(
        f"cannot tell which layer of {type(model).__name__} is the classifier; pass "
        f"{remedy(layers, candidates)}: {listed(layers, candidates)}"
    )


def _every_one(model: nn.Module, layers: dict[str, Layer]) -> list[str]:
    main = [name for name in _likely(model, layers) if not _is_auxiliary(name)]
    if not main:
        return [_the_only_one(model, layers)]
    return [name for name in layers if name in {*main, *_auxiliary(model, layers, main[-1])}]


def _auxiliary(model: nn.Module, layers: dict[str, Layer], main: str) -> list[str]:
    """The last layers of the modules whose name begins with "aux", where they have as many outputs as ``main``."""
    modules = [name for name, _ in model.named_modules() if name.rpartition(".")[2].lower().startswith("aux")]
    last = [layer for name in modules for layer in _outputs(model, layers, name)[-1:]]
    return [name for name in last if layers[name].weight.shape[0] == layers[main].weight.shape[0]]


def _is_auxiliary(name: str) -> bool:
    return any(part.lower().startswith("aux") for part in name.split("."))


def _no_classifier(model: nn.Module, why: str) -> ValueError:
    return ValueError(f"{type(model).__name__} has no classifier: {why} (a timm model wants num_classes > 0)")


def _likely(model: nn.Module, layers: dict[str, Layer]) -> list[str]:
    """The layers that may compute the logits: one where it is certain, several where it is not, none if unknown."""
    if not layers or isinstance(_declared(model), nn.Identity):
        raise _no_classifier(model, "no Linear or 1x1 Conv2d layer found")
    if declared := _declared_classifier(model, layers):
        return declared
    if conventional := _conventional_classifiers(model, layers):
        return _with_later(model, conventional, layers)
    if isinstance(model, nn.Sequential):
        return _last_of_sequential(model, "", layers)
    return _with_later(model, list(layers), layers) if len(layers) == 1 else []


def _named(model: nn.Module, layers: dict[str, Layer], head: str | nn.Module) -> str:
    for name, layer in layers.items():
        if layer is head or name == head:
            return name
    wanted = f"head={head!r}" if isinstance(head, str) else f"the given head ({type(head).__name__})"
    candidates = listed(layers, [name for name in layers if not within_blocks(model, name)]) or "none"
    raise ValueError(
        f"{wanted} is not a Linear or 1x1 Conv2d layer of {type(model).__name__}; its candidates are: {candidates}"
    )


def _check_whole(model: nn.Module, layers: dict[str, Layer], names: list[str]) -> None:
    """Refuse some of the heads of a model that combines the logits of all."""
    for group in _pooled(model, layers):
        if not set(group).isdisjoint(names) and not set(group) <= set(names):
            raise ValueError(
                f"{type(model).__name__} combines the logits of {listed(layers, group)}, which must have equally "
                'many classes: pass head="all"'
            )


def _check_equal_outputs(layers: dict[str, Layer], names: list[str]) -> None:
    if len({layers[name].weight.shape[0] for name in names}) > 1:
        raise ValueError(
            f"the heads have different numbers of classes: {listed(layers, names)}; name those that have the same in "
            "head=[...]"
        )


def _pooled(model: nn.Module, layers: dict[str, Layer]) -> list[list[str]]:
    """Groups of layers whose logits a model combines: declared together or beside each other within one container.

    A layer that can take the logits of another one as its input may be its successor: then it is no group.
    """
    containers = [n for n, m in model.named_modules() if n.rpartition(".")[2] in _CLASSIFIER_NAMES and n not in layers]
    declared = _declared_classifier(model, layers)
    declared = [*declared, *_auxiliary(model, layers, declared[-1])] if declared else []
    groups = [declared, *(_outputs(model, layers, name) for name in containers)]
    return [group for group in groups if len(group) > 1 and _stand_beside(layers, group)]


def _stand_beside(layers: dict[str, Layer], group: list[str]) -> bool:
    outputs = {layers[name].weight.shape[0] for name in group}
    return len(outputs) == 1 and outputs.isdisjoint(layers[name].weight.shape[1] for name in group)


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


def _declared_classifier(model: nn.Module, layers: dict[str, Layer]) -> list[str]:
    declared = _declared(model)
    members = declared if isinstance(declared, tuple | list | nn.ModuleList) else (declared,)
    names = [name for name, module in model.named_modules() if any(module is member for member in members)]
    return [layer for name in names for layer in _outputs(model, layers, name)]


def _conventional_classifiers(model: nn.Module, layers: dict[str, Layer]) -> list[str]:
    """Layers with, or last within a container with, a classifier's name, at the outermost level that has one."""
    named = [n for n, _ in model.named_modules() if n.rpartition(".")[2] in _CLASSIFIER_NAMES]
    named = [n for n in named if not within_blocks(model, n)]
    outputs = {n: found for n in named if (found := _outputs(model, layers, n))}
    outermost = min((n.count(".") for n in outputs), default=0)
    return [layer for n, found in outputs.items() if n.count(".") == outermost for layer in found]


def _with_later(model: nn.Module, likely: list[str], layers: dict[str, Layer]) -> list[str]:
    """A single layer and any that are defined after it: its name alone does not make it the last."""
    if len(likely) != 1:
        return likely
    names = list(layers)
    later = names[names.index(likely[0]) :]
    if len(later) == 1 and (other := unknown_after(model, likely[0])):
        raise ValueError(
            f"cannot tell whether {likely[0]!r} of {type(model).__name__} is the classifier, because {other} is "
            f"defined after it; pass head={likely[0]!r} if it computes the logits, else give the model a plain Linear"
        )
    return later


def _outputs(model: nn.Module, layers: dict[str, Layer], container: str) -> list[str]:
    """The last layer within a module, and any beside it with as many outputs: two heads whose logits are pooled."""
    inside = [n for n in layers if n == container or n.startswith(container + ".")]
    module = model.get_submodule(container)
    if isinstance(module, nn.Sequential):
        return _last_of_sequential(module, container, layers)
    return [n for n in inside if layers[n].weight.shape[0] == layers[inside[-1]].weight.shape[0]]


def _last_of_sequential(module: nn.Module, name: str, layers: dict[str, Layer]) -> list[str]:
    """The last layer of a (nested) Sequential called ``name``, if nothing with weights comes after it."""
    while isinstance(module, nn.Sequential):
        with_weights = [(n, child) for n, child in module.named_children() if child.state_dict()]
        if not with_weights:
            return []
        own, module = with_weights[-1]
        name = f"{name}.{own}".lstrip(".")
    return [name] if name in layers else []
