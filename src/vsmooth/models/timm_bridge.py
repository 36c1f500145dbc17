"""Any architecture of timm, by name, untrained."""

from __future__ import annotations

import importlib.util
from typing import Any

from torch import nn


def timm_names() -> list[str]:
    """Architecture names of the installed timm; empty without timm."""
    if importlib.util.find_spec("timm") is None:
        return []
    import timm

    return list(timm.list_models())


def build_timm(
    name: str,
    num_classes: int,
    in_channels: int = 3,
    image_size: int | tuple[int, int] | None = None,
    drop_path: float = 0.0,
) -> nn.Module:
    """`timm.create_model` without weights; `image_size` reaches the networks that have one (transformers).

    ValueError without timm, and for a `drop_path` (stochastic depth) that the network does not have.
    """
    if importlib.util.find_spec("timm") is None:
        raise ValueError(f'the network {name} is built by timm: pip install "vsmooth[lab]"')
    options: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels}
    if drop_path == 0:
        return _create(name, image_size, options)
    try:
        return _create(name, image_size, options | {"drop_path_rate": drop_path})
    except TypeError as error:
        raise no_drop_path(name, drop_path) from error


def no_drop_path(name: str, drop_path: float) -> ValueError:
    """The error for a network that has no stochastic depth."""
    return ValueError(f"{name} has no stochastic depth: leave drop_path at 0, got {drop_path}")


def _create(name: str, image_size: int | tuple[int, int] | None, options: dict[str, Any]) -> nn.Module:
    import timm

    if image_size is not None:
        try:
            return timm.create_model(name, pretrained=False, img_size=image_size, **options)
        except TypeError:
            # timm has no way to ask whether a network takes img_size; those that do not refuse the argument.
            pass
    return timm.create_model(name, pretrained=False, **options)
