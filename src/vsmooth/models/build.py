"""From a model's name to the model."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from torch import nn

from vsmooth.models.catalogue import ARCHITECTURES
from vsmooth.models.normalise import Normalise, NormalisedModel
from vsmooth.models.timm_bridge import build_timm, no_drop_path, timm_names

TIMM_PREFIX = "timm:"


def list_models(*, include_timm: bool = False) -> list[str]:
    """Names `build_model` knows: this library's own, then on request those of timm, as "timm:NAME"."""
    return list(ARCHITECTURES) + [TIMM_PREFIX + name for name in (timm_names() if include_timm else [])]


def build_model(
    name: str,
    num_classes: int,
    in_channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    image_size: int | tuple[int, int] | None = None,
    drop_path: float = 0.0,
) -> NormalisedModel:
    """An untrained network by name, behind a layer that normalises: images (N, C, H, W) to logits (N, K).

    `name`: one of `list_models()`, or a timm architecture as "timm:NAME" or "NAME"; own names come first.
    mean and std are per channel, for images in [0, 1] (None: 0 and 1). image_size is only for networks built
    for one size (None: the one of their paper). drop_path is the largest rate of stochastic depth, for the
    networks that have it. ValueError for an unknown name, with the nearest ones; for K < 2; for statistics that do
    not fit the channels; for a drop_path outside [0, 1), or above 0 where the network has none.
    """
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}")
    if in_channels < 1:
        raise ValueError(f"in_channels must be at least 1, got {in_channels}")
    if not 0 <= drop_path < 1:
        raise ValueError(f"drop_path must be in [0, 1), got {drop_path}")
    mean = (0.0,) * in_channels if mean is None else mean
    std = (1.0,) * in_channels if std is None else std
    if len(mean) != in_channels:
        raise ValueError(f"mean must have one value for each of {in_channels} channels, got {len(mean)}")
    normalise = Normalise(mean, std)
    return NormalisedModel(normalise, _build_network(name, num_classes, in_channels, image_size, drop_path))


def _build_network(
    name: str, num_classes: int, in_channels: int, image_size: int | tuple[int, int] | None, drop_path: float
) -> nn.Module:
    check_model(name, drop_path)
    if name in ARCHITECTURES:
        return _build_own(name, num_classes, in_channels, image_size, drop_path)
    return build_timm(name.removeprefix(TIMM_PREFIX), num_classes, in_channels, image_size, drop_path)


def check_model(name: str, drop_path: float = 0.0) -> None:
    """Raise ``ValueError`` for an unknown network, and for an own one that has no stochastic depth; builds nothing."""
    if name in ARCHITECTURES:
        if drop_path and "drop_path" not in ARCHITECTURES[name].options:
            raise no_drop_path(name, drop_path)
        return
    timm_name, available = name.removeprefix(TIMM_PREFIX), timm_names()
    if timm_name not in available:
        raise ValueError(f"unknown model {name!r}; {_suggest(timm_name, available)}")


def _build_own(
    name: str, num_classes: int, in_channels: int, image_size: int | tuple[int, int] | None, drop_path: float
) -> nn.Module:
    architecture = ARCHITECTURES[name]
    given = {"image_size": image_size, "drop_path": drop_path}
    return architecture.build(num_classes, in_channels, **{option: given[option] for option in architecture.options})


def _suggest(name: str, available: Sequence[str]) -> str:
    own = ", ".join(ARCHITECTURES)
    if not available:
        return f'choose from {own}; for timm networks, pip install "vsmooth[lab]"'
    # Own names first, so that "resnet-20" is answered with them before timm's thousand.
    nearest = difflib.get_close_matches(name, ARCHITECTURES, n=2)
    nearest += [near for near in difflib.get_close_matches(name, available, n=3) if near not in nearest]
    return f"did you mean {', '.join(nearest[:3])}?" if nearest else f"choose from {own} or the names of timm"
