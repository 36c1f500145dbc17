from __future__ import annotations

from typing import Literal

import pytest
import torch
from data_builders import make_images
from torch import Tensor
from torch.nn import functional

from vsmooth.data import NO_AUGMENTATION, Augmentation
from vsmooth.data.augment import Draws, augment, draw


def augment_one_by_one(images: Tensor, draws: Draws, augmentation: Augmentation) -> Tensor:
    """Reference: pad, slice and flip each image with torch's own operators."""
    height, width = images.shape[2:]
    padding = [augmentation.crop_padding] * 4
    mode = "reflect" if augmentation.padding_mode == "reflect" else "constant"
    results = []
    for image, (top, left), flip in zip(images, draws.offsets.tolist(), draws.flips.tolist(), strict=True):
        padded = functional.pad(image[None].float(), padding, mode=mode)[0].to(torch.uint8)
        crop = padded[:, top : top + height, left : left + width]
        results.append(crop.flip(2) if flip else crop)
    return torch.stack(results)


@pytest.mark.parametrize("mode", ["reflect", "zeros"])
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 32, 32), (3, 9, 6)])
@pytest.mark.parametrize(("padding", "flip"), [(4, True), (4, False), (0, True), (5, True)])
def test_equals_the_loop_over_images(
    mode: Literal["reflect", "zeros"], channels: int, height: int, width: int, padding: int, flip: bool
) -> None:
    images = make_images(64, channels, 32)[:, :, :height, :width]
    augmentation = Augmentation(padding, flip, mode)
    draws = draw(augmentation, 64, torch.Generator().manual_seed(3))
    result = augment(images, draws, augmentation)
    assert result.dtype == torch.uint8
    assert torch.equal(result, augment_one_by_one(images, draws, augmentation))


def test_by_hand() -> None:
    images = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=torch.uint8).view(1, 1, 3, 3)
    shifted = Draws(torch.tensor([[0, 2]]), torch.tensor([False]))
    mirrored = Draws(torch.tensor([[1, 1]]), torch.tensor([True]))
    reflect, zeros = Augmentation(1, True, "reflect"), Augmentation(1, True, "zeros")
    assert augment(images, shifted, reflect).flatten().tolist() == [5, 6, 5, 2, 3, 2, 5, 6, 5]
    assert augment(images, shifted, zeros).flatten().tolist() == [0, 0, 0, 2, 3, 0, 5, 6, 0]
    assert augment(images, mirrored, reflect).flatten().tolist() == [3, 2, 1, 6, 5, 4, 9, 8, 7]


def test_draws_cover_all_corners_evenly() -> None:
    draws = draw(Augmentation(4), 9000, torch.Generator().manual_seed(0))
    counts = draws.offsets[:, 0].bincount(minlength=9)
    assert counts.min() > 850
    assert counts.max() < 1150
    assert draws.flips.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert not torch.equal(draws.offsets[:, 0], draws.offsets[:, 1])


def test_no_augmentation_leaves_images_alone() -> None:
    images = make_images(4)
    assert augment(images, draw(NO_AUGMENTATION, 4, torch.Generator()), NO_AUGMENTATION) is images


def test_without_flip_nothing_is_mirrored() -> None:
    assert not draw(Augmentation(flip=False), 100, torch.Generator()).flips.any()


@pytest.mark.parametrize("size", [4, 3])
def test_images_smaller_than_the_padding(size: int) -> None:
    message = rf"crop_padding=4 does not fit images of {size}x8 pixels; use at most {size - 1}"
    with pytest.raises(ValueError, match=message):
        Augmentation(4).check_fits(size, 8)


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="crop_padding must be 0 or more pixels, got -1"):
        Augmentation(-1)
    with pytest.raises(ValueError, match="padding_mode must be 'reflect' or 'zeros', got 'edge'"):
        Augmentation(padding_mode="edge")  # type: ignore[arg-type]
