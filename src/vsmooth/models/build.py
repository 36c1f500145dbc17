"""From a model's name to the model."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from torch import nn

from vsmooth.models.normalise import Normalise, NormalisedModel
from vsmooth.models.resnet_cifar import resnet18, resnet20
from vsmooth.models.small import small
from vsmooth.models.timm_bridge import build_timm, timm_names

TIMM_PREFIX = "timm:"
OWN_MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "small": small,
    "resnet20": resnet20,
    "resnet18": resnet18,
}


def list_models(*, include_timm: bool = False) -> list[str]:
    """Names `build_model` knows: this library's own, then on request those of timm, as "timm:NAME"."""
    return list(OWN_MODELS) + [TIMM_PREFIX + name for name in (timm_names() if include_timm else [])]


def build_model(
    name: str,
    num_classes: int,
    in_channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> NormalisedModel:
    """An untrained network by name, behind a layer that normalises: images (N, C, H, W) to logits (N, K).

    `name`: one of `list_models()`, or a timm architecture as "timm:NAME" or "NAME"; own names come first.
    mean and std are per channel, for images in [0, 1] (None: 0 and 1). image_size is only for networks built
    for one size. ValueError for an unknown name, with the nearest ones; for K < 2; for statistics that do not
    fit the channels.
    """
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}")
    if in_channels < 1:
        raise ValueError(f"in_channels must be at least 1, got {in_channels}")
    mean = (0.0,) * in_channels if mean is None else mean
    std = (1.0,) * in_channels if std is None else std
    if len(mean) != in_channels:
        raise ValueError(f"mean must have one value for each of {in_channels} channels, got {len(mean)}")
    normalise = Normalise(mean, std)
    return NormalisedModel(normalise, _build_network(name, num_classes, in_channels, image_size))


def _build_network(
    name: str, num_classes: int, in_channels: int, image_size: int | tuple[int, int] | None
) -> nn.Module:
    if name in OWN_MODELS:
        return OWN_MODELS[name](num_classes, in_channels)
    timm_name = name.removeprefix(TIMM_PREFIX)
    available = timm_names()
    if timm_name in available:
        return build_timm(timm_name, num_classes, in_channels, image_size)
    raise ValueError(f"unknown model {name!r}; {_suggest(timm_name, available)}")


def _suggest(name: str, available: Sequence[str]) -> str:
    own = ", ".join(OWN_MODELS)
    if not available:
        return f'choose from {own}; for timm networks, pip install "vsmooth[lab]"'
    # Own names first, so that "resnet-20" is answered with them before timm's thousand.
    nearest = difflib.get_close_matches(name, OWN_MODELS, n=2)
    nearest += [near for near in difflib.get_close_matches(name, available, n=3) if near not in nearest]
    return f"did you mean {', '.join(nearest[:3])}?" if nearest else f"choose from {own} or the names of timm"
