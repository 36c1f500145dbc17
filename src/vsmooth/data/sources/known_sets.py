"""The data sets of the paper: facts that are known without reading them."""

from __future__ import annotations

from dataclasses import dataclass

from vsmooth.data.augment import NO_AUGMENTATION, Augmentation

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple(str(digit) for digit in range(10))

_CROP_AND_FLIP = Augmentation(crop_padding=4, flip=True, padding_mode="reflect")
_CROP_OF_64_AND_FLIP = Augmentation(crop_padding=8, flip=True, padding_mode="reflect")


@dataclass(frozen=True)
class KnownSet:
    """One data set of the paper.

    mean, std: of each channel over the train images, in [0, 1] units; image_shape: (C, H, W), of ImageNet the usual
    crop; counts: train and test images; classes: their names, or None where the files themselves bring them.
    augmentation: that of the paper, for its CNNs; authors_augmentation: where the authors' code is known, what it does.
    The authors' code leaves CIFAR images in [0, 1], normalises SVHN by mean .5 and deviation .5, and Tiny-ImageNet by
    the numbers here; this library's networks always normalise, by the statistics of their train images.
    """

    name: str
    image_shape: tuple[int, int, int]
    counts: tuple[int, int]
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation
    authors_augmentation: Augmentation | None = None
    classes: tuple[str, ...] | None = None

    @property
    def description(self) -> str:
        """Counts, size and classes in one line."""
        train, test = self.counts
        _, height, width = self.image_shape
        return f"{train:,} + {test:,} RGB {width}x{height}, {self.num_classes} classes"

    def counts_note(self, train: int, test: int, left_out: int = 0) -> str | None:
        """A warning if a set of this name has other numbers of images than expected; None if they agree.

        left_out: number of unreadable images, which are reported elsewhere.
        """
        if sum(self.counts) - left_out == train + test:
            return None
        return (
            f"{self.name} has {self.counts[0]:,} train and {self.counts[1]:,} test images, here are {train:,} and "
            f"{test:,}: results are not comparable with published ones"
        )


# Means and deviations: over all train pixels, as commonly cited; ImageNet's are torchvision's, of its resized crops.
# Augmentation: the paper's section on standard training ("random crop and random horizontal flip"), the authors' code.
_SETS = (
    KnownSet(
        "svhn", (3, 32, 32), (73_257, 26_032), 10, (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970),
        _CROP_AND_FLIP, NO_AUGMENTATION, DIGITS,
    ),
    KnownSet(
        "cifar10", (3, 32, 32), (50_000, 10_000), 10, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616),
        _CROP_AND_FLIP, _CROP_AND_FLIP, CIFAR10,
    ),
    KnownSet(
        "cifar100", (3, 32, 32), (50_000, 10_000), 100, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762),
        _CROP_AND_FLIP, _CROP_AND_FLIP,
    ),
    KnownSet(
        "tiny-imagenet", (3, 64, 64), (100_000, 10_000), 200, (0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821),
        _CROP_OF_64_AND_FLIP, _CROP_OF_64_AND_FLIP,
    ),
    KnownSet(
        "imagenet", (3, 224, 224), (1_281_167, 50_000), 1000, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225),
        Augmentation(crop_padding=0, flip=True, resized_crop=(0.08, 1.0)),
    ),
)  # fmt: skip
KNOWN_SETS = {entry.name: entry for entry in _SETS}


def known_set(name: str) -> KnownSet | None:
    """The record of a data set of the paper, or None."""
    return KNOWN_SETS.get(name)


def list_known_sets() -> tuple[str, ...]:
    """The names that `known_set` knows."""
    return tuple(KNOWN_SETS)
