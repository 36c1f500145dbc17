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
    name: str, num_classes: int, in_channels: int = 3, image_size: int | tuple[int, int] | None = None
) -> nn.Module:
    """`timm.create_model` without weights; `image_size` reaches the networks that have one (transformers)."""
    import timm

    options: dict[str, Any] = {"pretrained": False, "num_classes": num_classes, "in_chans": in_channels}
    if image_size is not None:
        try:
            return timm.create_model(name, **options, img_size=image_size)
        except TypeError:
            # timm has no way to ask whether a network takes img_size; those that do not refuse the argument.
            pass
    return timm.create_model(name, **options)
