"""Corruptions: what each does to pixels, against independent computations; determinism; bad input."""

from __future__ import annotations

import io
from colorsys import rgb_to_hsv

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from vsmooth.data import load_dataset
from vsmooth.data.corruptions import SEVERITIES, corrupt, list_corruptions

RANDOM = ("gaussian-noise", "shot-noise", "impulse-noise", "motion-blur", "fog")


def pictures(count: int = 4, channels: int = 3, size: int = 32) -> Tensor:
    """Smooth pictures with an edge, on the grid of 8-bit levels."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 5, 5, generator=generator) * 0.8 + 0.1
    images = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    images[:, :, :, size // 2 :] *= 0.5
    return images.mul(255).round() / 255


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    """32 images of the embedded data set, 28x28 grey: in made-up pictures an edge can lie on the border of a block."""
    return load_dataset("embedded").test.images[:32].float() / 255


@pytest.mark.parametrize("name", list_corruptions())
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (3, 80)])
def test_keeps_shape_range_and_the_8_bit_grid(name: str, channels: int, size: int) -> None:
    images = pictures(2, channels, size)
    for severity in (1, 5):
        found = corrupt(images, name, severity)
        assert (found.shape, found.dtype) == (images.shape, images.dtype)
        assert found.min() >= 0
        assert found.max() <= 1
        torch.testing.assert_close(found * 255, (found * 255).round(), atol=1e-4, rtol=0)
        assert not torch.equal(found, images)


@pytest.mark.parametrize("name", list_corruptions())
def test_harder_at_each_severity_on_photographs(name: str, photographs: Tensor) -> None:
    errors = [float((corrupt(photographs, name, severity) - photographs).square().mean()) for severity in SEVERITIES]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1] / 1.3


@pytest.mark.parametrize("name", list_corruptions())
def test_an_image_does_not_depend_on_its_batch(name: str) -> None:
    images = pictures()
    whole = corrupt(images, name, 3, seed=5)
    torch.testing.assert_close(corrupt(images, name, 3, seed=5), whole, atol=0, rtol=0)
    part = corrupt(images[2:], name, 3, seed=5, indices=torch.tensor([2, 3]))
    torch.testing.assert_close(part, whole[2:], atol=0, rtol=0)
    changed = not torch.equal(corrupt(images, name, 3, seed=6), whole)
    moved = not torch.equal(corrupt(images[2:], name, 3, seed=5), whole[2:])
    assert (changed, moved) == ((True, True) if name in RANDOM else (False, False))


def test_noise_differs_between_images_and_severities() -> None:
    grey = torch.full((2, 3, 32, 32), 0.5)
    one, other = corrupt(grey, "gaussian-noise", 1)
    assert not torch.equal(one, other)
    harder = corrupt(grey, "gaussian-noise", 2)[0]
    assert abs(float(torch.corrcoef(torch.stack([(one - 0.5).flatten(), (harder - 0.5).flatten()]))[0, 1])) < 0.1


@pytest.mark.parametrize(("severity", "std"), [(1, 0.04), (5, 0.10)])
def test_gaussian_noise_has_the_published_strength(severity: int, std: float) -> None:
    noise = corrupt(torch.full((8, 3, 32, 32), 0.5), "gaussian-noise", severity) - 0.5
    assert float(noise.std()) == pytest.approx(std, rel=0.03)
    assert abs(float(noise.mean())) < 0.01 * std * 3


def test_shot_noise_is_poisson() -> None:
    level = 0.4
    found = corrupt(torch.full((8, 3, 32, 32), level), "shot-noise", 5)  # 50 photons at full brightness
    assert float(found.mean()) == pytest.approx(level, rel=0.01)
    assert float(found.var()) == pytest.approx(level / 50, rel=0.05)


def test_impulse_noise_is_salt_and_pepper() -> None:
    found = corrupt(torch.full((8, 3, 32, 32), 0.4), "impulse-noise", 5)
    assert float((found == 0).float().mean()) == pytest.approx(0.035, rel=0.1)
    assert float((found == 1).float().mean()) == pytest.approx(0.035, rel=0.1)
    rest = found[(found > 0) & (found < 1)]
    torch.testing.assert_close(rest, torch.full_like(rest, 0.4))


def test_gaussian_blur_agrees_with_scipy() -> None:
    images = pictures()
    expected = gaussian_filter(images.double().numpy(), (0, 0, 1, 1), mode="mirror", truncate=4)
    assert corrupt(images, "gaussian-blur", 5).numpy() == pytest.approx(expected, abs=0.5001 / 255)


@pytest.mark.parametrize("name", ["defocus-blur", "motion-blur", "gaussian-blur"])
def test_blurs_keep_flat_images_and_spread_a_point(name: str) -> None:
    flat = torch.full((1, 3, 32, 32), 100 / 255)
    torch.testing.assert_close(corrupt(flat, name, 5), flat)
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1
    found = corrupt(point, name, 5)[0, 0]
    assert float(found.sum()) == pytest.approx(1, abs=0.1)  # 8-bit levels cut the tails off
    assert 5 <= int((found > 0).sum()) <= 60


def test_motion_blur_runs_along_one_line() -> None:
    point = torch.zeros(1, 1, 65, 65)
    point[..., 32, 32] = 1
    found = corrupt(point, "motion-blur", 5)[0, 0].double()
    rows, columns = torch.meshgrid(torch.arange(65.0), torch.arange(65.0), indexing="ij")
    cloud = torch.stack([rows.flatten(), columns.flatten()])
    variances = torch.linalg.eigvalsh(torch.cov(cloud.double(), aweights=found.flatten()))
    assert float(variances[1]) > 20 * float(variances[0])


def test_brightness_adds_value_and_keeps_hue_and_saturation() -> None:
    images = pictures(1, size=8) * 0.6
    found = corrupt(images, "brightness", 5)
    for before, after in zip(images[0].flatten(1).T.tolist(), found[0].flatten(1).T.tolist(), strict=True):
        (hue, saturation, value), (new_hue, new_saturation, new_value) = rgb_to_hsv(*before), rgb_to_hsv(*after)
        assert new_value == pytest.approx(value + 0.3, abs=0.003)
        assert new_saturation == pytest.approx(saturation, abs=0.02)
        assert abs(new_hue - hue) % 1 == pytest.approx(0, abs=0.05) or saturation < 0.1
    black = corrupt(torch.zeros(1, 3, 8, 8), "brightness", 5)
    torch.testing.assert_close(black, torch.full_like(black, round(0.3 * 255) / 255))


def test_contrast_shrinks_about_the_mean_of_each_channel() -> None:
    images = pictures()
    mean = images.mean((2, 3), keepdim=True)
    torch.testing.assert_close(corrupt(images, "contrast", 2), mean + 0.5 * (images - mean), atol=0.51 / 255, rtol=0)


def test_fog_hides_contrast_and_keeps_to_the_range_of_the_image() -> None:
    images = pictures() * 0.7
    found = corrupt(images, "fog", 5)
    assert (found.amax((1, 2, 3)) <= images.amax((1, 2, 3)) + 1 / 255).all()
    edges = [picture.diff(dim=3).abs().amax((1, 2, 3)) for picture in (found, images)]
    assert (edges[0] < edges[1]).all()


def test_pixelate_makes_blocks_of_means() -> None:
    images = pictures(1, size=80)  # a large image: at severity 2 every block is two pixels wide
    blocks = torch.nn.functional.avg_pool2d(images, 2)
    expected = blocks.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(corrupt(images, "pixelate", 2), expected, atol=1.01 / 255, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_pillow_reads_back(channels: int) -> None:
    images = pictures(1, channels)
    levels = (images[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(levels.squeeze()).save(buffer, "JPEG", quality=40)
    expected = np.asarray(Image.open(buffer)).reshape(32, 32, channels)
    found = (corrupt(images, "jpeg", 5)[0] * 255).round().permute(1, 2, 0).numpy()
    assert (found == expected).all()


def test_half_precision_and_the_original_survive() -> None:
    images = pictures()
    before = images.clone()
    assert corrupt(images.half(), "contrast", 1).dtype == torch.float16
    corrupt(images, "gaussian-noise", 5)
    torch.testing.assert_close(images, before, atol=0, rtol=0)


def test_bad_input_is_named() -> None:
    images = pictures()
    with pytest.raises(ValueError, match="unknown corruption 'gausian-noise': did you mean 'gaussian-noise'"):
        corrupt(images, "gausian-noise", 1)
    for severity in (0, 6, 2.5, True):
        with pytest.raises(ValueError, match=f"severity must be 1, 2, 3, 4 or 5, got {severity}"):
            corrupt(images, "jpeg", severity)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 0 to 255"):
        corrupt(torch.tensor([0.0, 255]).expand(1, 3, 8, 2), "jpeg", 1)
    with pytest.raises(ValueError, match="got nan to nan"):
        corrupt(torch.full((1, 3, 8, 8), float("nan")), "jpeg", 1)
    with pytest.raises(ValueError, match=r"of torch\.uint8"):
        corrupt(images.to(torch.uint8), "jpeg", 1)
    with pytest.raises(ValueError, match="images are empty"):
        corrupt(images[:0], "jpeg", 1)
    with pytest.raises(ValueError, match=r"at least 8x8 pixels, got \(3, 32, 7\)"):
        corrupt(images[..., :7], "jpeg", 1)
    with pytest.raises(ValueError, match=r"1 or 3 channels and .* got \(2, 32, 32\)"):
        corrupt(images[:, :2], "jpeg", 1)
    with pytest.raises(ValueError, match="4 images but 3 indices"):
        corrupt(images, "jpeg", 1, indices=torch.arange(3))
