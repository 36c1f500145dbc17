"""Common corruptions of images at five severities, made on the fly.

They follow Hendrycks and Dietterich (2019), "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", with the severities of their CIFAR-10-C (up to 64 pixels) and ImageNet-C (above). They are not those
files: the random numbers, the fog and the filters differ, so numbers are not comparable to published CIFAR-10-C ones.
"""

from __future__ import annotations

import difflib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional

from vsmooth.data.extras import import_extra
from vsmooth.data.seeds import seed_of
from vsmooth.data.storage.images import check_images

SEVERITIES = (1, 2, 3, 4, 5)
LARGEST_SMALL, SMALLEST = 64, 8  # pixels of the shorter side: up to where CIFAR-10-C's severities hold; the least


@dataclass(frozen=True)
class _Corruption:
    """`apply(image (C, H, W), strength, generator)`, and the strength of each severity on small and large images."""

    apply: Callable[[Tensor, float, Generator], Tensor]
    small: tuple[float, ...]
    large: tuple[float, ...]


def list_corruptions() -> tuple[str, ...]:
    """The names `corrupt` knows: three of noise, three of blur, two of light and weather, three digital."""
    return tuple(_CORRUPTIONS)


def corrupt(images: Tensor, name: str, severity: int, *, seed: int = 0, indices: Tensor | None = None) -> Tensor:
    """The images with one corruption, on the grid of 8-bit levels, as a stored file would hold them.

    images: (N, C, H, W) floating point in [0, 1], C = 1 or 3; severity in 1..5; indices: (N,) places of the images in
    their split (None: 0..N-1). What happens to an image depends on (name, severity, seed, its index) and its pixels
    alone, not on the batch. Computed on the CPU in float32; the result has the dtype and device of `images`.
    ValueError for another name (with the nearest), severity, shape or range, and images of less than 8 pixels.
    """
    check_images(images)
    strength = _strength(name, severity, images)
    places = range(len(images)) if indices is None else indices.tolist()
    if len(places) != len(images):
        raise ValueError(f"{len(images)} images but {len(places)} indices; pass one index per image")
    found = torch.empty(images.shape, dtype=torch.float32)
    for row, (image, index) in enumerate(zip(images.detach().cpu().float(), places, strict=True)):
        generator = Generator().manual_seed(seed_of(f"corruption {name}", severity, seed, index))
        found[row] = _CORRUPTIONS[name].apply(image, strength, generator)
    return found.clamp_(0, 1).mul_(255).round_().div_(255).to(images)


def check_corruption(name: str, severity: int) -> None:
    """ValueError unless there is such a corruption at such a severity."""
    if name not in _CORRUPTIONS:
        near = difflib.get_close_matches(name, _CORRUPTIONS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"unknown corruption {name!r}: {hint}choose from {', '.join(_CORRUPTIONS)}")
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise ValueError(f"severity must be 1, 2, 3, 4 or 5, got {severity!r}")


def _strength(name: str, severity: int, images: Tensor) -> float:
    check_corruption(name, severity)
    channels, shorter = images.shape[1], min(images.shape[2:])
    if channels not in (1, 3) or shorter < SMALLEST:
        raise ValueError(
            f"corruptions need 1 or 3 channels and at least {SMALLEST}x{SMALLEST} pixels, got {tuple(images.shape[1:])}"
        )
    corruption = _CORRUPTIONS[name]
    return (corruption.small if shorter <= LARGEST_SMALL else corruption.large)[severity - 1]


def _gaussian_noise(image: Tensor, std: float, generator: Generator) -> Tensor:
    return image + std * torch.randn(image.shape, generator=generator)


def _shot_noise(image: Tensor, photons: float, generator: Generator) -> Tensor:
    return torch.poisson(image * photons, generator) / photons


def _impulse_noise(image: Tensor, share: float, generator: Generator) -> Tensor:
    """Salt-and-pepper noise, drawn separately for each channel."""
    draws = torch.rand(image.shape, generator=generator)
    return image.masked_fill(draws < share / 2, 0.0).masked_fill(draws >= 1 - share / 2, 1.0)


def _gaussian_blur(image: Tensor, sigma: float, _: Generator) -> Tensor:
    transforms = import_extra("torchvision.transforms.v2.functional", "blurring images")
    size = 2 * math.ceil(4 * sigma) + 1
    return transforms.gaussian_blur(image, [size, size], [sigma, sigma])


def _defocus_blur(image: Tensor, radius: float, _: Generator) -> Tensor:
    """A disk whose edge is one pixel soft, so that radii between whole pixels differ."""
    reach = math.ceil(radius + 0.5)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    distance = (steps[:, None].square() + steps.square()).sqrt()
    return _filter(image, (radius + 0.5 - distance).clamp(0, 1))


def _motion_blur(image: Tensor, sigma: float, generator: Generator) -> Tensor:
    """Half a Gaussian along a line at an angle of -45 to 45 degrees, as ImageMagick's."""
    angle = (float(torch.rand((), generator=generator)) - 0.5) * math.pi / 2
    reach = math.ceil(3 * sigma)
    steps = torch.linspace(0, reach, 4 * reach + 1)
    along = torch.stack([steps * math.sin(angle), steps * math.cos(angle)], 1) + reach
    nodes = torch.arange(2 * reach + 1)
    near = (1 - (along[:, :, None] - nodes).abs()).clamp(min=0)  # (points, 2, nodes): bilinear shares
    weights = (-steps.square() / (2 * sigma**2)).exp()
    return _filter(image, torch.einsum("p,pi,pj->ij", weights, near[:, 0], near[:, 1]))


def _filter(image: Tensor, kernel: Tensor) -> Tensor:
    """Correlation with a square kernel, normalised to sum to 1; pixels beyond the edge repeat it."""
    reach, (height, width) = len(kernel) // 2, image.shape[1:]
    padded = functional.pad(image, (reach, reach, reach, reach), mode="replicate")
    found = torch.zeros_like(image)
    # Tap by tap: a line or a disk fills little of its square, which a convolution would pay for in full.
    shares = (kernel[kernel != 0] / kernel.sum()).tolist()
    for (row, column), share in zip(kernel.nonzero().tolist(), shares, strict=True):
        found.add_(padded[:, row : row + height, column : column + width], alpha=share)
    return found


def _brightness(image: Tensor, added: float, _: Generator) -> Tensor:
    """More value in HSV: hue and saturation stay, and black becomes grey."""
    value = image.amax(0, keepdim=True)
    brighter = (value + added).clamp(max=1)
    return torch.where(value > 0, image * (brighter / value.clamp(min=1e-9)), brighter)


def _fog(image: Tensor, thickness: float, generator: Generator) -> Tensor:
    """Smooth noise in [0, 1], a half of the amplitude for each octave, added and scaled back to the image's range."""
    height, width = image.shape[1:]
    octaves = max(2, math.ceil(math.log2(max(height, width))) - 1)
    cloud = torch.zeros(1, 1, height, width)
    for octave in range(1, octaves + 1):
        grid = torch.rand((1, 1, 2**octave + 1, 2**octave + 1), generator=generator)
        cloud += functional.interpolate(grid, (height, width), mode="bilinear", align_corners=True) / 2**octave
    cloud = (cloud[0] - cloud.min()) / (cloud.max() - cloud.min())
    brightest = image.max()
    return (image + thickness * cloud) * brightest / (brightest + thickness)


def _contrast(image: Tensor, kept: float, _: Generator) -> Tensor:
    mean = image.mean((1, 2), keepdim=True)
    return (image - mean) * kept + mean


def _pixelate(image: Tensor, share: float, _: Generator) -> Tensor:
    height, width = image.shape[1:]
    box = import_extra("PIL.Image", "pixelating images").Resampling.BOX
    coarse = _to_pillow(image).resize((int(width * share), int(height * share)), box)
    return _from_pillow(coarse.resize((width, height), box), image)


def _jpeg(image: Tensor, quality: float, _: Generator) -> Tensor:
    buffer = io.BytesIO()
    _to_pillow(image).save(buffer, "JPEG", quality=int(quality))
    return _from_pillow(import_extra("PIL.Image", "JPEG compression").open(buffer, formats=("JPEG",)), image)


def _to_pillow(image: Tensor) -> Any:
    levels = image.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    pillow = import_extra("PIL.Image", "JPEG compression and pixelating")
    return pillow.fromarray(levels if len(image) == 3 else levels[:, :, 0])


def _from_pillow(picture: Any, like: Tensor) -> Tensor:
    numpy = import_extra("numpy", "JPEG compression and pixelating")
    channels, height, width = like.shape
    levels = torch.from_numpy(numpy.array(picture)).view(height, width, channels)
    return levels.permute(2, 0, 1).float() / 255


_CORRUPTIONS = {
    "gaussian-noise": _Corruption(_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot-noise": _Corruption(_shot_noise, (500, 250, 100, 75, 50), (60, 25, 12, 5, 3)),
    "impulse-noise": _Corruption(_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)),
    "gaussian-blur": _Corruption(_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0), (1, 2, 3, 4, 6)),
    # CIFAR-10-C's two least radii fall within one pixel, where only its second blur acts: these blur about as much.
    "defocus-blur": _Corruption(_defocus_blur, (0.6, 0.7, 0.8, 1.0, 1.5), (3, 4, 6, 8, 10)),
    "motion-blur": _Corruption(_motion_blur, (1.0, 1.5, 2.0, 2.25, 2.5), (3, 5, 8, 12, 15)),
    "brightness": _Corruption(_brightness, (0.05, 0.10, 0.15, 0.20, 0.30), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "fog": _Corruption(_fog, (0.2, 0.5, 0.75, 1.0, 1.5), (1.5, 2.0, 2.5, 2.75, 3.0)),
    "contrast": _Corruption(_contrast, (0.75, 0.50, 0.40, 0.30, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "pixelate": _Corruption(_pixelate, (0.95, 0.90, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg": _Corruption(_jpeg, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
}
