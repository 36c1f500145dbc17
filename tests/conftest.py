"""Tiny data for all rooms, and settings under which a result does not depend on the machine."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

# One thread and the CPU, also in subprocesses: sums then run in one order, whatever the machine has.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")
os.environ["NO_COLOR"] = "1"
os.environ["COLUMNS"] = "80"
os.environ.pop("FORCE_COLOR", None)

import pytest
import torch
from PIL import Image

from vsmooth.data import Dataset, ImageSet

torch.set_num_threads(1)
CLASSES, SIZE = 4, 8


def make_toy_split(per_class: int, seed: int) -> ImageSet:
    """Grey 8x8 images: a bright quarter tells the class, noise makes it hard enough to be wrong sometimes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(per_class)
    images = torch.randint(0, 200, (len(labels), 1, SIZE, SIZE), generator=generator)
    for index, label in enumerate(labels.tolist()):
        top, left = divmod(label, 2)
        images[index, 0, 4 * top : 4 * top + 4, 4 * left : 4 * left + 4] += 55
    return ImageSet(images.to(torch.uint8), labels)


@pytest.fixture
def accept() -> Callable[[Path], None]:
    """Makes the record of a run speak of a file as it is now."""

    def accept(path: Path) -> None:
        record = path.with_name("record.json")
        value = json.loads(record.read_text())
        value["digests"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        record.write_text(json.dumps(value))

    return accept


@pytest.fixture(scope="session")
def toy_dataset() -> Dataset:
    """Four classes, 160 train and 80 test images."""
    names = tuple(f"quarter-{index}" for index in range(CLASSES))
    return Dataset("toy", names, make_toy_split(40, seed=1), make_toy_split(20, seed=2))


@pytest.fixture(scope="session")
def toy_folder(toy_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy data set as a folder of PNG files, for the command line."""
    folder = tmp_path_factory.mktemp("data") / "toy"
    for split, part in (("train", toy_dataset.train), ("test", toy_dataset.test)):
        for index, (image, label) in enumerate(zip(part.images, part.labels.tolist(), strict=True)):
            path = folder / split / toy_dataset.classes[label] / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(path)
    return folder
