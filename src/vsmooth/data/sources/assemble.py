"""From listings of encoded images to a data set, in memory or streamed."""

from __future__ import annotations

from dataclasses import dataclass

from vsmooth.data.storage.dataset import Dataset, Split, Statistics
from vsmooth.data.storage.decode import decode_images
from vsmooth.data.storage.encoded import Listing
from vsmooth.data.storage.files import open_files, without
from vsmooth.data.storage.images import ImageSet

_NAMED = 5  # classes in a message


@dataclass(frozen=True)
class Loading:
    """How a source is loaded.

    `image_size`: side of the streamed crops in pixels (None: whole images, in memory); `skip_broken`: skip and count
    unreadable images.
    Errors: ValueError for an `image_size` below 1.
    """

    image_size: int | None = None
    skip_broken: bool = False

    def __post_init__(self) -> None:
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"image_size must be at least 1 pixel, got {self.image_size}")


def assemble(
    name: str,
    classes: tuple[str, ...],
    listings: dict[str, Listing],
    loading: Loading,
    *,
    rgb: bool = False,
    statistics: Statistics | None = None,
) -> Dataset:
    """A data set of the listings "train" and "test"; `rgb`: grey images become RGB in memory (streamed they always do).

    Errors: ValueError naming classes that only "test" has, or an image that cannot be read, unless
    `loading.skip_broken`, or that has another size.
    """
    _check_classes(name, classes, listings)
    (train, no_train), (test, no_test) = (_split(listings[split], loading, rgb) for split in ("train", "test"))
    return Dataset(name, classes, train, test, statistics, left_out=no_train + no_test)


def _check_classes(name: str, classes: tuple[str, ...], listings: dict[str, Listing]) -> None:
    train, test = (set(listings[split].labels.tolist()) for split in ("train", "test"))
    if unknown := sorted(test - train):
        named = ", ".join(classes[label] if 0 <= label < len(classes) else str(label) for label in unknown[:_NAMED])
        more = " ..." if len(unknown) > _NAMED else ""
        raise ValueError(
            f"{name}: the test split has classes of which the train split has no image: {named}{more}; add train "
            "images of them, or take them out of the test split"
        )


def _split(listing: Listing, loading: Loading, rgb: bool) -> tuple[Split, tuple[str, ...]]:
    images, labels = listing
    if loading.image_size is not None:
        return open_files(images, labels, loading.image_size, loading.skip_broken)
    broken: list[int] = []
    pixels = decode_images(images, images.name, rgb=rgb, broken=broken if loading.skip_broken else None)
    left_out = tuple(images.name(index) for index in broken)
    return ImageSet(pixels, labels[without(len(images), broken)]), left_out
