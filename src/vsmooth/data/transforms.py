"""Transforms of single uint8 images by torchvision v2, for what cannot be done to a whole batch in one gather."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vsmooth.data.augment import NO_AUGMENTATION, Augmentation
from vsmooth.data.extras import import_extra

Transform = Callable[[Tensor], Tensor]
# The share of the shorter side that a test crop shows (224 of 256 pixels): Krizhevsky et al. 2012, He et al. 2016.
CENTRE_SHARE = 0.875


def resident_transform(augmentation: Augmentation, height: int, width: int) -> Transform | None:
    """What `augment` does not do: (C, H, W) uint8 -> (C, height, width) uint8; None where there is nothing to do."""
    if augmentation.resized_crop is None and augmentation.rand_augment is None and not augmentation.erasing:
        return None
    steps = []
    if augmentation.resized_crop is not None:
        steps.append(_resized_crop(augmentation.resized_crop, height, width))
    return _torchvision().Compose(steps + _distortions(augmentation))


def streamed_transform(augmentation: Augmentation, size: int) -> Transform:
    """(C, H', W') uint8 of any size -> (C, size, size) uint8, the whole augmentation.

    Without a resized crop the image is first brought to `size` as in evaluation: the shorter side is resized to
    size / 0.875 and the centre is cut out. `NO_AUGMENTATION` is that evaluation transform.
    """
    library = _torchvision()
    steps: list[Any] = []
    if augmentation.resized_crop is not None:
        steps.append(_resized_crop(augmentation.resized_crop, size, size))
    else:
        steps += [library.Resize(round(size / CENTRE_SHARE), antialias=True), library.CenterCrop(size)]
    if augmentation.crop_padding:
        mode = "reflect" if augmentation.padding_mode == "reflect" else "constant"
        steps.append(library.RandomCrop(size, padding=augmentation.crop_padding, padding_mode=mode))
    if augmentation.flip:
        steps.append(library.RandomHorizontalFlip())
    return library.Compose(steps + _distortions(augmentation))


def evaluation_transform(size: int) -> Transform:
    """The transform of a test image."""
    return streamed_transform(NO_AUGMENTATION, size)


def seeded(transform: Transform, image: Tensor, seed: int) -> Tensor:
    """The transform with what `seed` alone decides; torch's own generator is not moved."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return transform(image)


def _resized_crop(scale: tuple[float, float], height: int, width: int) -> Any:
    return _torchvision().RandomResizedCrop((height, width), scale=scale, antialias=True)


def _distortions(augmentation: Augmentation) -> list[Any]:
    library = _torchvision()
    steps: list[Any] = []
    if augmentation.rand_augment is not None:
        operations, magnitude = augmentation.rand_augment
        bilinear = library.InterpolationMode.BILINEAR
        chosen = library.RandAugment(operations, magnitude, interpolation=bilinear)
        # On PIL images its operations are up to twice as fast as on tensors.
        steps += [library.ToPILImage(), chosen, library.PILToTensor()]
    if augmentation.erasing:
        steps.append(library.RandomErasing(augmentation.erasing))
    return steps


def _torchvision() -> Any:
    return import_extra("torchvision.transforms.v2", "augmentation")
