"""What stands around a layer of a model: what comes after it, and whether it is within a block."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.parameter import is_lazy

_ATTENTION = ("attn", "attention", "q_proj", "k_proj", "v_proj", "o_proj", "qkv")


def unknown_after(model: nn.Module, name: str) -> str:
    """The first layer defined after ``name`` whose shape is not known yet, or that is not one of torch's own."""
    names = [n for n, _ in model.named_modules()]
    for other in names[names.index(name) + 1 :]:
        module = model.get_submodule(other)
        own = list(module._parameters.values())
        if any(p is not None and is_lazy(p) for p in own) or _is_quantised(module):
            return f"{other!r} ({type(module).__name__})"
        if any(p is not None and p.ndim > 1 for p in own) and not type(module).__module__.startswith("torch.nn."):
            return f"{other!r} ({type(module).__name__})"
    return ""


def _is_quantised(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.ao.nn.") and not isinstance(module, nn.Linear | nn.Conv2d)


def after_in_sequential(model: nn.Module, name: str) -> str:
    """The first module with weights that a Sequential calls after the layer ``name``; "" if there is none."""
    for holder, own in _path(model, name):
        if isinstance(holder, nn.Sequential):
            children = dict(holder.named_children())
            later = list(children)[list(children).index(own) + 1 :]
            if follower := next((child for child in later if children[child].state_dict()), ""):
                return follower
    return ""


def within_blocks(model: nn.Module, name: str) -> bool:
    """Whether a layer is of an attention, or within one of several numbered blocks of one class."""
    if any(part in word for part in _ATTENTION for word in name.lower().split(".")):
        return True
    for holder, own in _path(model, name):
        block = holder.get_submodule(own)
        alike = sum(type(child) is type(block) for child in holder.children())
        if own.isdigit() and alike > 1 and not isinstance(block, nn.Linear | nn.Conv2d | nn.Sequential):
            return True
    return False


def _path(model: nn.Module, name: str) -> Iterator[tuple[nn.Module, str]]:
    """The modules that hold the one called ``name``, outermost first, each with the name of the next one in it."""
    holder = model
    for own in name.split(".") if name else ():
        yield holder, own
        holder = holder.get_submodule(own)
