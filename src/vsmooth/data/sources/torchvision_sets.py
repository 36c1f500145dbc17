"""Data sets that torchvision can download, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vsmooth.data.extras import import_extra
from vsmooth.data.sources.known_sets import DIGITS, KNOWN_SETS
from vsmooth.data.sources.roots import data_root
from vsmooth.data.storage.dataset import Dataset
from vsmooth.data.storage.images import ImageSet


@dataclass(frozen=True)
class TorchvisionSet:
    """How one torchvision class names its splits; `classes` None: as torchvision names them."""

    class_name: str
    description: str
    classes: tuple[str, ...] | None = None
    split_arguments: Callable[[bool], dict[str, Any]] = lambda train: {"train": train}
    image_shape: tuple[int, int, int] = (1, 28, 28)


def _known(name: str, class_name: str, **options: Any) -> TorchvisionSet:
    record = KNOWN_SETS[name]
    return TorchvisionSet(class_name, record.description, record.classes, image_shape=record.image_shape, **options)


TORCHVISION_SETS = {
    "cifar10": _known("cifar10", "CIFAR10"),
    "cifar100": _known("cifar100", "CIFAR100"),
    "svhn": _known("svhn", "SVHN", split_arguments=lambda train: {"split": "train" if train else "test"}),
    "mnist": TorchvisionSet("MNIST", "60,000 + 10,000 grey 28x28, digits", DIGITS),
    "fashion-mnist": TorchvisionSet("FashionMNIST", "60,000 + 10,000 grey 28x28, 10 classes of clothes"),
}


def load_torchvision(name: str) -> Dataset:
    """Load (and the first time download) one of TORCHVISION_SETS. Errors: ValueError when that fails."""
    entry = TORCHVISION_SETS[name]
    train, test = (_open(name, entry, train) for train in (True, False))
    classes = entry.classes or tuple(train.classes)
    return Dataset(name, classes, _image_set(train), _image_set(test))


def _open(name: str, entry: TorchvisionSet, train: bool) -> Any:
    datasets = import_extra("torchvision.datasets", f"the data set {name!r}")
    root = data_root()
    try:
        return getattr(datasets, entry.class_name)(str(root), download=True, **entry.split_arguments(train))
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the data set {name!r} needs {error.name}: pip install 'vsmooth[lab]'"
        ) from error
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"{name!r} is neither in {root} nor could it be downloaded there ({error}); check the network, "
            "set VSMOOTH_DATA to a folder that holds it, or give a folder of parquet or image files instead"
        ) from error


def _image_set(split: Any) -> ImageSet:
    """torchvision keeps (N, H, W), (N, H, W, 3) or, for SVHN, (N, 3, H, W), as arrays or tensors."""
    images = torch.as_tensor(split.data)
    labels = split.targets if hasattr(split, "targets") else split.labels
    return ImageSet(_channels_first(images).contiguous(), torch.as_tensor(labels).long())


def _channels_first(images: Tensor) -> Tensor:
    if images.dim() == 3:
        return images[:, None]
    return images if images.shape[1] == 3 else images.permute(0, 3, 1, 2)
