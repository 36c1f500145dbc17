"""State dicts of models with virtual classes, for models without them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vsmooth.classifier import Head, find_classifiers

_REAL_ROWS = "num_classes"  # in the metadata that torch keeps with a state dict, a mapping for each module


def strip(
    state_dict: Mapping[str, Any], *, num_classes: int | None = None, head: str | Sequence[str] | None = None
) -> dict[str, Any]:
    """A copy of a state dict of a model with virtual classes, which the plain K-way model loads.

    Of the head's weight and bias the first K rows are kept, as copies; other entries are the same tensors.

    Args:
        state_dict: of a model with one head or several, from ``model.state_dict()`` or a file.
        num_classes: K. ``None``: as noted by the heads; a file of safetensors loses that note.
        head: names of the heads, as in the keys; with ``num_classes`` only.

    Raises:
        ValueError: neither a note nor both ``num_classes`` and ``head``; no such entry; fewer than K rows.
    """
    rows = _noted_rows(state_dict)
    if num_classes is not None and head is not None:
        rows = dict.fromkeys([head] if isinstance(head, str) else head, num_classes)
    if not rows:
        raise ValueError(
            "the state dict does not say which entries have virtual rows (it was not saved by torch from a model with "
            "virtual classes, or is stripped already): pass num_classes=K and head=NAME"
        )
    stripped: OrderedDict[str, Any] = OrderedDict(state_dict)
    for name, real in rows.items():
        stripped |= _real_rows(state_dict, f"{name}." if name else "", real)
    return stripped


def accept_wide_weights(model: nn.Module, head: Head = None) -> list[RemovableHandle]:
    """Let the plain ``model`` load weights of the same model with virtual classes: their virtual rows are left out.

    ``head`` as in :func:`vsmooth.add_virtual_classes`. The handles undo it with ``remove()``.

    Raises:
        ValueError: as :func:`vsmooth.add_virtual_classes` where the classifier is not found.

    Limits: rows beyond K are taken for virtual ones, unless the state dict notes another K, which torch then refuses.
    """
    return [layer.register_load_state_dict_pre_hook(_cut) for _, layer in find_classifiers(model, head)]


def note_real_rows(state_dict: Mapping[str, Any], prefix: str, num_classes: int) -> None:
    """Keep K in the metadata of a state dict, which `torch.save` keeps too."""
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is not None:
        metadata.setdefault(prefix[:-1], {})[_REAL_ROWS] = num_classes


def _noted_rows(state_dict: Mapping[str, Any]) -> dict[str, int]:
    metadata = getattr(state_dict, "_metadata", {})
    return {name: noted[_REAL_ROWS] for name, noted in metadata.items() if _REAL_ROWS in noted}


def _real_rows(state_dict: Mapping[str, Any], prefix: str, real: int) -> dict[str, Tensor]:
    if f"{prefix}weight" not in state_dict:
        ends = ", ".join(key for key in state_dict if key.endswith("weight"))
        raise ValueError(f"the state dict has no {prefix}weight; its weights are {ends or 'none'}")
    found = {key: state_dict[key] for key in (f"{prefix}weight", f"{prefix}bias") if key in state_dict}
    for key, value in found.items():
        if len(value) < real:
            raise ValueError(f"{key} has {len(value)} rows, fewer than num_classes={real}")
    return {key: value[:real].clone() for key, value in found.items()}


def _cut(module: nn.Module, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *_: Any) -> None:
    weight, real = state_dict.get(f"{prefix}weight"), len(module.get_parameter("weight"))
    if isinstance(weight, Tensor) and len(weight) > real == local_metadata.get(_REAL_ROWS, real):
        state_dict |= _real_rows(state_dict, prefix, real)
