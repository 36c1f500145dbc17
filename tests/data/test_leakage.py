"""Images that two sets share: the very pixels, other views of a picture, and none."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from vsmooth.data import ImageSet, load_dataset
from vsmooth.data.leakage import Hashed, Overlap, find_overlap

pytest.importorskip("imagehash")


def pictures(count: int, first: int = 0) -> ImageSet:
    """Clothes of the embedded set."""
    test = load_dataset("embedded").test
    assert isinstance(test, ImageSet)
    return test.subset(torch.arange(first, first + count))


def compressed(images: ImageSet, indices: list[int]) -> ImageSet:
    """As JPEG, a little brighter: another view of the same pictures."""
    found = []
    for index in indices:
        buffer = io.BytesIO()
        Image.fromarray(images.images[index, 0].numpy()).save(buffer, "jpeg", quality=80)
        pixels = np.array(Image.open(buffer)).astype(int) + 4
        found.append(torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))[None])
    return ImageSet(torch.stack(found), torch.zeros(len(indices), dtype=torch.long))


def joined(*sets: ImageSet) -> ImageSet:
    return ImageSet(torch.cat([one.images for one in sets]), torch.cat([one.labels for one in sets]))


def test_counts() -> None:
    known, fresh = pictures(60), pictures(20, first=100)
    mixed = joined(fresh, known.subset(torch.tensor([3, 9])), compressed(known, [5, 20, 40]))
    assert find_overlap(Hashed.of(mixed), Hashed.of(known)) == Overlap(exact=2, near=3)
    assert find_overlap(Hashed.of(fresh), Hashed.of(known)) == Overlap(0, 0)
    assert not Overlap(0, 0)
    assert Overlap(0, 1)


def test_outliers_identical_to_the_test_set() -> None:
    known = pictures(10)
    assert find_overlap(Hashed.of(known), Hashed.of(known)) == Overlap(exact=10, near=0)


def test_flat_images_are_only_found_by_their_pixels() -> None:
    """Their hash is noise: all would look alike."""
    flat = [torch.full((1, 1, 28, 28), value, dtype=torch.uint8) for value in (90, 91, 92)]
    labels = torch.zeros(2, dtype=torch.long)
    one, other = ImageSet(torch.cat(flat[:2]), labels), ImageSet(torch.cat(flat[1:]), labels)
    assert find_overlap(Hashed.of(one), Hashed.of(other)) == Overlap(exact=1, near=0)


def test_colours_and_shapes() -> None:
    known = pictures(12)
    coloured = ImageSet(known.images.expand(-1, 3, -1, -1).contiguous(), known.labels)
    assert find_overlap(Hashed.of(coloured), Hashed.of(coloured)) == Overlap(exact=12, near=0)
    with pytest.raises(ValueError, match=r"only images of one shape .* got \(3, 28, 28\) and \(1, 28, 28\)"):
        find_overlap(Hashed.of(coloured), Hashed.of(known))
