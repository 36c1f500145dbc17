"""Cut the embedded data set: a class-balanced subset of Fashion-MNIST.

Reads the four IDX files of Fashion-MNIST (Debian: `apt install dataset-fashion-mnist`; upstream:
https://github.com/zalandoresearch/fashion-mnist), draws 600 train and 200 test images of each class with a
fixed seed, and writes `train.png` and `test.png` (mosaics of 28x28 tiles, 50 per row, losslessly compressed)
and `manifest.json`. Tile i, counted row by row, is of class i % 10: the order carries the labels, and every
stretch of 10 n tiles is class-balanced. Train images come from the original train split, test images from the
original test split.

The same command writes the same pixels everywhere, and the same bytes with the same zlib.

    python scripts/cut_fashion_mnist.py /usr/share/datasets/fashion-mnist src/vsmooth/data/sources/embedded
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
COLUMNS = 50
SPLITS = {"train": "train", "test": "t10k"}

Array = npt.NDArray[np.uint8]


def read_idx(path: Path) -> tuple[Array, str]:
    """The array in a gzip-compressed IDX file of unsigned bytes, and the SHA-256 of the unpacked file.

    The header is 0, 0, 8, rank and then the sizes as big-endian int32.
    """
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\x00\x00\x08":
        raise SystemExit(f"{path} is not an IDX file of unsigned bytes")
    rank = content[3]
    shape = np.frombuffer(content, ">i4", count=rank, offset=4)
    array = np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
    return array, hashlib.sha256(content).hexdigest()


def choose_balanced(labels: Array, per_class: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices of `per_class` random samples of each class, interleaved: entry i is of class i % K."""
    # RandomState, not default_rng: numpy promises never to change its stream.
    order = np.random.RandomState(seed).permutation(len(labels))
    chosen = [order[labels[order] == index][:per_class] for index in range(len(CLASSES))]
    return np.stack(chosen, axis=1).reshape(-1)


def make_mosaic(images: Array) -> Array:
    """(N, H, W) -> (N / 50 * H, 50 * W), tile i at row i // 50 and column i % 50."""
    count, height, width = images.shape
    tiles = images.reshape(count // COLUMNS, COLUMNS, height, width)
    return tiles.transpose(0, 2, 1, 3).reshape(count // COLUMNS * height, COLUMNS * width)


def cut_split(source: Path, prefix: str, per_class: int, seed: int, target: Path) -> dict[str, Any]:
    """Write one mosaic and return its entry in the manifest."""
    names = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    (images, images_sha256), (labels, labels_sha256) = (read_idx(source / f"{name}.gz") for name in names)
    chosen = choose_balanced(labels, per_class, seed)
    Image.fromarray(make_mosaic(images[chosen])).save(target, optimize=True)
    return {
        "file": target.name,
        "count": len(chosen),
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "cut_from": {names[0]: images_sha256, names[1]: labels_sha256},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder with the four *-ubyte.gz files")
    parser.add_argument("target", type=Path, help="folder to write train.png, test.png and manifest.json to")
    parser.add_argument("--train-per-class", type=int, default=600, metavar="N", help="default 600")
    parser.add_argument("--test-per-class", type=int, default=200, metavar="N", help="default 200")
    parser.add_argument("--seed", type=int, default=2017, help="of the choice (default 2017)")
    options = parser.parse_args()
    for per_class in (options.train_per_class, options.test_per_class):
        if per_class < 1 or per_class * len(CLASSES) % COLUMNS:
            parser.error(f"{per_class} images of {len(CLASSES)} classes do not fill rows of {COLUMNS} tiles")

    counts = {"train": options.train_per_class, "test": options.test_per_class}
    options.target.mkdir(parents=True, exist_ok=True)
    splits = {
        split: cut_split(options.source, prefix, counts[split], options.seed, options.target / f"{split}.png")
        for split, prefix in SPLITS.items()
    }
    manifest = {
        "seed": options.seed,
        "classes": CLASSES,
        "tile": [28, 28],
        "columns": COLUMNS,
        "splits": splits,
    }
    (options.target / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    for entry in splits.values():
        print(f"{options.target / entry['file']}: {entry['count']} images, sha256 {entry['sha256']}")


if __name__ == "__main__":
    main()
