"""Whether a classifier can be replaced by a wide one without losing something."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from vsmooth.surroundings import after_in_sequential

Layer = nn.Linear | nn.Conv2d


def check_replaceable(model: nn.Module, name: str, plain: Layer) -> None:
    """Raise ``ValueError`` with a remedy for a layer whose replacement would silently lose something."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        raise ValueError("DistributedDataParallel would not know the new head: add virtual classes before wrapping")
    _check_last(model, name)
    check_no_adapter(model, name)
    _check_not_quantised(name, plain)
    if plain.weight.shape[0] < 2:
        raise ValueError(f"the classifier {name!r} has {plain.weight.shape[0]} output: it needs 2 real classes or more")
    _check_not_shared(model, plain)
    if parametrize.is_parametrized(plain) or plain._forward_hooks or plain._forward_pre_hooks:
        raise ValueError(f"the classifier {name!r} has a parametrization or hooks that would be lost; remove them")
    _check_nothing_extra(name, plain)


def _check_last(model: nn.Module, name: str) -> None:
    if after := after_in_sequential(model, name):
        raise ValueError(
            f"{name!r} is no classifier, for its outputs are the inputs of {after!r} in a Sequential; pass head=NAME "
            "of the last layer, which must be a Linear or 1x1 Conv2d"
        )


def check_no_adapter(model: nn.Module, name: str) -> None:
    """Raise ``ValueError`` for a layer within an adapter of PEFT, which adds its own outputs to those of the layer."""
    parts = name.split(".")
    for depth in range(len(parts)):
        where = ".".join(parts[:depth])
        holder = model.get_submodule(where)
        wraps = isinstance(holder._modules.get("base_layer"), Layer) or "original_module" in holder._modules
        if wraps:
            raise ValueError(
                f"the classifier {where!r} is within an adapter ({type(holder).__name__}), whose outputs would not "
                "fit: call add_virtual_classes(model) before get_peft_model, with the classifier in modules_to_save "
                "and not in target_modules, or merge_and_unload() first"
            )


def _check_not_quantised(name: str, plain: Layer) -> None:
    weight = plain.weight
    plain_kind = type(weight) in (nn.Parameter, torch.Tensor) and type(weight.data) is torch.Tensor
    if not weight.dtype.is_floating_point or weight.dtype.itemsize < 2 or (not plain_kind and _is_packed(weight)):
        raise ValueError(
            f"the classifier {name!r} ({type(plain).__name__}) is quantised ({type(weight).__name__}, {weight.dtype}), "
            "so it can have no virtual rows: leave it out of the quantisation (modules_to_not_convert, "
            "llm_int8_skip_modules), or add virtual classes before"
        )


def _is_packed(weight: torch.Tensor) -> bool:
    """A tensor subclass that holds its numbers in another form; that of a fake or distributed one is the usual."""
    kind = type(weight).__name__
    return "Params" in kind or type(weight).__module__.startswith("torchao") or hasattr(weight.data, "tensor_impl")


def _check_not_shared(model: nn.Module, plain: Layer) -> None:
    names = [n for n, m in model.named_modules(remove_duplicate=False) if m is plain]
    holders = [n for n, m in model.named_modules() if any(p is plain.weight for p in m._parameters.values())]
    if len(names) > 1 or len(holders) > 1:
        shared = ", ".join(map(repr, names if len(names) > 1 else holders))
        raise ValueError(
            f"the classifier's weight is shared by {shared}; untie it first: give the head a weight of its own, "
            "head.weight = nn.Parameter(head.weight.detach().clone()) (Transformers: also tie_word_embeddings=False)"
        )


def _check_nothing_extra(name: str, plain: Layer) -> None:
    own = {n for n, _ in (*plain.named_parameters(), *plain.named_buffers(), *plain.named_children())}
    if extra := sorted(own - {"weight", "bias"}):
        raise ValueError(
            f"the classifier {name!r} ({type(plain).__name__}) has {', '.join(extra)} besides weight and bias, which "
            "would be lost: merge them into its weight (an adapter's merge method) and put a plain "
            f"{'Linear' if isinstance(plain, nn.Linear) else 'Conv2d'} in its place"
        )
