"""The head: K real classes and V virtual ones in training, K in inference."""

import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal, TypeVar

import torch
from torch import nn

from vsmooth.classifier import Head, find_classifiers
from vsmooth.replaceable import Layer
from vsmooth.virtual_layers import VirtualConv2d, VirtualHead, VirtualLinear, shared_classes, some_heads, virtual_heads

Module = TypeVar("Module", bound=nn.Module)
LogitSet = Literal["real", "all"]  # the K of the real classes, or all K + V
__all__ = [
    "LogitSet",
    "VirtualConv2d",
    "VirtualHead",
    "VirtualLinear",
    "add_virtual_classes",
    "all_logits",
    "remove_virtual_classes",
    "shared_classes",
    "virtual_heads",
]


def add_virtual_classes(
    model: Module, num_virtual: int | None = None, head: Head = None, *, collapsed: bool = False
) -> Module | VirtualLinear | VirtualConv2d:
    """Give the classifier of ``model`` V virtual classes, in place.

    The model then returns K + V logits in train mode and K in eval mode, at the cost of the plain model. The rows of
    the real classes are kept bit for bit, so a pretrained model can be fine-tuned; virtual rows start as a fresh
    layer would. Add the classes before building the optimizer: the classifier's parameters are new objects.

    Args:
        model: any module whose classifier is a ``Linear`` or 1x1 ``Conv2d``, or several of them. If ``model`` is that
            layer itself, the new layer is returned.
        num_virtual: V; ``None`` means V = K.
        head: the classifier, as a module or as a name from ``model.named_modules()``; needed only where it cannot be
            found automatically. For a model with several (distilled, auxiliary or added up): a list, or ``"all"``.
        collapsed: one row in place of V equal ones, with log V added to its logit; for
            ``VirtualSmoothing(alpha, num_virtual, collapsed=True)``.

    Returns:
        ``model``, changed in place.

    Raises:
        ValueError: V < 1; no classifier found, or several candidates (the message lists them); the model already has
            virtual classes; a classifier that a plain layer cannot replace because it computes something else, has
            parameters or buffers besides weight and bias (LoRA), shares its weight, is quantised or has hooks; a part
            of the heads of a model that combines the logits of all. The model is then as it was.

    Warns:
        UserWarning: the classifier is frozen, so its virtual rows stay at their random initial values.
    """
    whole = isinstance(num_virtual, int) and not isinstance(num_virtual, bool)
    if num_virtual is not None and (not whole or num_virtual < 1):
        raise ValueError(f"num_virtual must be a whole number of at least 1 (or None for V = K), got {num_virtual!r}")
    if virtual_heads(model):
        raise ValueError("the model has virtual classes already; remove_virtual_classes(model) takes them off")
    found = find_classifiers(model, head)
    for _, plain in found:
        if type(plain) not in (nn.Linear, nn.Conv2d):
            _check_same_map(plain)
    for name, plain in found:
        _warn_if_frozen(name, plain)
        count = num_virtual or plain.weight.shape[0]
        rows, offset = (1, math.log(count)) if collapsed else (count, 0.0)
        model = _replace(model, name, _widened(plain, rows, offset))
    return model


def remove_virtual_classes(model: Module) -> Module | nn.Linear | nn.Conv2d:
    """Give back an ordinary K-way model, in place: its state dict loads into the plain architecture.

    The real logits are bit-equal to those of the wide model in eval mode.

    Raises:
        ValueError: the model has no virtual classes.
    """
    for name, wide in some_heads(model):
        model = _replace(model, name, wide.plain())
    return model


@contextmanager
def all_logits(model: nn.Module) -> Iterator[nn.Module]:
    """A context in which ``model`` returns all K + V logits in eval mode too (attacks, analysis, a validation loss).

    Raises:
        ValueError: the model has no virtual classes.
    """
    with ExitStack() as stack:
        for _, wide in some_heads(model):
            stack.callback(setattr, wide, "keep_virtual", wide.keep_virtual)
            wide.keep_virtual = True
        yield model


def _widened(plain: Layer, num_virtual: int, offset: float = 0.0) -> VirtualLinear | VirtualConv2d:
    if isinstance(plain, nn.Linear):
        return VirtualLinear(plain, num_virtual, offset)
    return VirtualConv2d(plain, num_virtual, offset)


def _warn_if_frozen(name: str, plain: Layer) -> None:
    frozen = [own for own, parameter in plain.named_parameters() if not parameter.requires_grad]
    if frozen:
        warnings.warn(
            f"the {' and '.join(frozen)} of the classifier {name!r} will not be trained, so the virtual rows would "
            "stay at random values; call requires_grad_(True) on the classifier",
            stacklevel=3,
        )


@torch.no_grad()
def _check_same_map(plain: Layer) -> None:
    """A subclass may compute something else, such as cosines, which the wide layer would not."""
    probe = plain.weight[:1] + 1
    copy = _widened(plain, 1).plain()
    if not probe.is_meta and not torch.equal(plain.forward(probe), copy.forward(probe)):
        raise ValueError(
            f"the classifier is a {type(plain).__name__}, which computes something else than a plain layer: "
            "virtual classes would change its real logits"
        )


def _replace(model: Module, name: str, new: nn.Module) -> Module:
    if not name:
        return new  # type: ignore[return-value]
    model.set_submodule(name, new)
    return model
