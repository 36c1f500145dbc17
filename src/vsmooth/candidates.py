"""Candidates for the classifier of a model, as an error lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vsmooth.replaceable import Layer

_MOST_LISTED = 8


def remedy(layers: Mapping[str, Layer], candidates: Sequence[str]) -> str:
    """What to pass to have one of them, or all."""
    if len(candidates) == 1:
        return f"head={candidates[0]!r} if it computes the logits"
    alike = len({layers[name].weight.shape[0] for name in candidates}) == 1
    return 'head="all" if all of these compute the logits, or head=NAME' if alike else "head=NAME, one of"


def last_ones(layers: Mapping[str, Layer], names: Sequence[str]) -> list[str]:
    """Those whose outputs are not the inputs of a later one, so that a model with virtual classes there can run."""
    inputs = {name: layers[name].weight.shape[1] for name in names}
    return [n for i, n in enumerate(names) if layers[n].weight.shape[0] not in [inputs[m] for m in names[i + 1 :]]]


def listed(layers: Mapping[str, Layer], names: Sequence[str]) -> str:
    """The last of them by name and shape."""
    return ", ".join(f"{name!r} ({_shape(layers[name])})" for name in names[-_MOST_LISTED:])


def _shape(layer: Layer) -> str:
    return f"{type(layer).__name__} {layer.weight.shape[1]} -> {layer.weight.shape[0]}"
