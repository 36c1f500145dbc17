"""Made-up data sets in the layouts that the sources read."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image

from vsmooth.data import BatchPlan, Dataset, ImageSet, Placement

# Real data, not part of the repository: tests that use it are skipped where it is not there.
SHARED = Path(os.environ.get("VSMOOTH_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")


def make_images(count: int, channels: int = 3, size: int = 8, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


def make_set(count: int, channels: int = 3, size: int = 8, classes: int = 3, seed: int = 0) -> ImageSet:
    return ImageSet(make_images(count, channels, size, seed), torch.arange(count) % classes)


def make_dataset(
    train: int = 12, test: int = 6, channels: int = 3, size: int = 8, classes: int = 3
) -> Dataset:
    names = tuple(f"class-{index}" for index in range(classes))
    return Dataset(
        "toy",
        names,
        make_set(train, channels, size, classes, seed=1),
        make_set(test, channels, size, classes, seed=2),
    )


def to_pil(image: torch.Tensor) -> Image.Image:
    array = image.permute(1, 2, 0).numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def to_png(image: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    to_pil(image).save(buffer, "PNG")
    return buffer.getvalue()


def make_photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth RGB picture, so that JPEG and resizing change it little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def write_photo(path: Path, width: int = 20, height: int = 16, seed: int = 0, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    make_photo(width, height, seed).convert(mode).save(path)
    return path


def write_photo_folder(folder: Path, train: int = 4, test: int = 2, classes: int = 3) -> Path:
    """Image files of several sizes: class c holds `train` and `test` of them."""
    for split, count in (("train", train), ("val", test)):
        for label in range(classes):
            for index in range(count):
                seed = 100 * label + index
                suffix = "JPEG" if index % 2 else "png"
                path = folder / split / f"class-{label}" / f"{index:02d}.{suffix}"
                write_photo(path, 18 + 3 * index, 16 + label, seed)
    return folder


def cut_off(path: Path) -> Path:
    """Keep the header and lose the end, as an interrupted download does."""
    path.write_bytes(path.read_bytes()[:-40])
    return path


def write_parquet(path: Path, split: ImageSet, names: tuple[str, ...] | None = None, **columns: Any) -> None:
    """One file in the Hugging Face layout; `columns` replaces columns (None: leaves one out)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [{"bytes": to_png(image), "path": None} for image in split.images]
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table: Mapping[str, Any] = {
        "image": pa.array(cells, image_type),
        "label": pa.array(split.labels.tolist(), pa.int64()),
    } | columns
    written = pa.table({name: column for name, column in table.items() if column is not None})
    if names is not None:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        metadata = json.dumps({"info": {"features": features}}).encode()
        written = written.replace_schema_metadata({b"huggingface": metadata})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(written, path)


def write_parquet_folder(folder: Path, dataset: Dataset, names: bool = True) -> Path:
    for split, part in (("train", dataset.train), ("test", dataset.test)):
        write_parquet(folder / f"{split}.parquet", part, dataset.classes if names else None)
    return folder


def write_image_folder(folder: Path, dataset: Dataset, test: str = "test") -> Path:
    for split, part in (("train", dataset.train), (test, dataset.test)):
        for index, (image, label) in enumerate(zip(part.images, part.labels.tolist(), strict=True)):
            path = folder / split / dataset.classes[label] / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(to_png(image))
    return folder


def by_class(split: ImageSet) -> ImageSet:
    """In the order of an image folder: by class, then as before."""
    return split.subset(split.labels.argsort(stable=True))


def write_idx(path: Path, array: np.ndarray) -> None:
    """An unpacked IDX file of unsigned bytes, as torchvision keeps MNIST."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def to_hub(
    split: ImageSet, classes: tuple[str, ...], image: str = "image", label: str = "label"
) -> datasets.Dataset:
    features = datasets.Features({image: datasets.Image(), label: datasets.ClassLabel(names=list(classes))})
    content = {image: [to_pil(pixels) for pixels in split.images], label: split.labels.tolist()}
    return datasets.Dataset.from_dict(content, features=features)


def serve(monkeypatch: pytest.MonkeyPatch, **splits: datasets.Dataset) -> list[str]:
    """Answer `datasets.load_dataset` from memory; returns the names that were asked for."""
    asked: list[str] = []

    def load(name: str) -> datasets.DatasetDict:
        asked.append(name)
        return datasets.DatasetDict(splits)

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda _, name, **options: name)
    return asked


def planned(batch_size: int, **options: Any) -> tuple[BatchPlan, Placement]:
    """A plan (in order, whole) and a place (the CPU, no workers); `options` are fields of either."""
    names = {entry.name for entry in fields(Placement)}
    settings = {"shuffle": False, "drop_last": False, "device": "cpu", "workers": 0} | options
    placement = {name: value for name, value in settings.items() if name in names}
    plan = {name: value for name, value in settings.items() if name not in names}
    return BatchPlan(batch_size, **plan), Placement(**placement)
