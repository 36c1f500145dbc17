"""Images of none of the classes, from whatever a source names, brought to the shape of a network's images."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsmooth.data.extras import import_extra
from vsmooth.data.sources.load import HUB_NAME, load_dataset
from vsmooth.data.sources.reshape import reshape_images
from vsmooth.data.sources.roots import data_root
from vsmooth.data.sources.synthetic import KINDS, NAME, is_synthetic, make_outliers
from vsmooth.data.sources.torchvision_sets import TORCHVISION_SETS, load_torchvision
from vsmooth.data.sources.unlabelled import UNLABELLED, list_images, load_images
from vsmooth.data.storage.decode import decode_rgb
from vsmooth.data.storage.encoded import Files, Stored
from vsmooth.data.storage.files import evenly_spaced
from vsmooth.data.storage.images import ImageSet
from vsmooth.texts import check_unicode

MADE = 2_000  # synthetic images, unless a number is asked for


@dataclass(frozen=True, eq=False)
class Outliers:
    """Images of none of the classes, all of one shape.

    name: short, for tables. source: as it was typed. rule: how they were brought to their shape, in words.
    """

    name: str
    source: str
    images: ImageSet
    rule: str

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with any pixel."""
        found = hashlib.sha256()
        for part in self.images.identity():
            found.update(part)
        return found.hexdigest()[:16]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a source: images of a shape (C, H, W), of a split where it has several, so many at most.

    base: images of the classes, which some synthetic outliers are made of. seed: of synthetic ones.
    """

    image_shape: tuple[int, int, int]
    split: str = "test"
    limit: int | None = None
    base: ImageSet | None = None
    seed: int = 0
    skip_broken: bool = False


def list_outlier_sources() -> dict[str, str]:
    """The names that `load_outliers` knows beside paths and the Hub, each with one line on what it is."""
    made = {f"{NAME}:{kind}": f"made on the spot: {kind}" for kind in KINDS}
    known = {name: f"torchvision: {entry.description}" for name, entry in TORCHVISION_SETS.items()}
    return {NAME: "made on the spot, all kinds in turn", **made, **known, **{n: w for n, (w, _) in DOWNLOADED.items()}}


def load_outliers(source: str, wanted: Wanted) -> Outliers:
    """Images of none of the classes, whatever labels they have; evenly spaced ones where there are more than wanted.

    source: "synthetic" or "synthetic:KIND"; a name of `list_outlier_sources`, downloaded once to $VSMOOTH_DATA; a
    folder of images or of parquet files (with the split's own files or folder where it has splits); an npy or npz file
    of one uint8 array (N, H, W, C); "hub:owner/name".
    Errors: ValueError that says what was looked for; ModuleNotFoundError for a missing package.
    """
    check_unicode("the name of the outliers", source)
    if wanted.limit is not None and wanted.limit < 1:
        raise ValueError(f"the number of outliers must be at least 1, got {wanted.limit}")
    if is_synthetic(source):
        return _made(source, wanted)
    found = _open(source, wanted)
    count = len(found)
    chosen = evenly_spaced(count, min(count, wanted.limit or count)).tolist()
    pixels, rule = reshape_images(_read(found, chosen, wanted.skip_broken), wanted.image_shape)
    name = Path(source).stem if source not in list_outlier_sources() and not source.startswith("hub:") else source
    return Outliers(name, source, ImageSet(pixels, torch.full((len(pixels),), UNLABELLED)), rule)


def _made(source: str, wanted: Wanted) -> Outliers:
    if wanted.base is None or wanted.base.image_shape != wanted.image_shape:
        raise ValueError(f"{source} is made of images of the classes that are in memory; here there are none")
    images = make_outliers(source, wanted.base, wanted.limit or MADE, wanted.seed)
    return Outliers(source, source, images, "made in this size")


def _open(source: str, wanted: Wanted) -> Tensor | Stored:
    if source in DOWNLOADED:
        return _download(source)
    path = Path(source).expanduser()
    if source in TORCHVISION_SETS:
        dataset = load_torchvision(source)
        return _pixels(dataset.train if wanted.split == "train" else dataset.test)
    if source.startswith("hub:") or (HUB_NAME.fullmatch(source) and not path.exists()):
        dataset = load_dataset(source, skip_broken=wanted.skip_broken)
        return _pixels(dataset.train if wanted.split == "train" else dataset.test)
    if not source or not path.exists():
        raise ValueError(_unknown(source))
    if path.suffix in (".npy", ".npz"):
        return _pixels(load_images(path))
    return list_images(path, wanted.split)


def _pixels(split: Any) -> Tensor:
    assert isinstance(split, ImageSet)  # streamed only where an image size is asked for
    return split.images


def _read(found: Tensor | Stored, chosen: list[int], skip_broken: bool) -> Iterator[Tensor]:
    for index in chosen:
        if isinstance(found, Tensor):
            yield found[index]
            continue
        try:
            yield decode_rgb(found[index], found.name(index))
        except ValueError:
            if not skip_broken:
                raise


def _unknown(source: str) -> str:
    names = list(list_outlier_sources())
    near = difflib.get_close_matches(source.lower(), names, n=1)
    if source.lower() == "isun":
        return "iSUN is not downloaded by a library that this one uses: give the folder of its images"
    hint = f"did you mean {near[0]!r}? " if near else ""
    kinds = f"a name ({', '.join(names)}), a folder, an npy file or hub:owner/name"
    return f"unknown outliers {source!r}; {hint}give {kinds}"


def _textures() -> Stored:
    datasets = import_extra("torchvision.datasets", "the images 'textures'")
    parts = (datasets.DTD(str(data_root()), split, download=True) for split in ("train", "val", "test"))
    return _files(sorted(path for part in parts for path in part._image_files))


def _places365() -> Stored:
    datasets = import_extra("torchvision.datasets", "the images 'places365'")
    root = data_root()
    again = (root / "val_256").is_dir()  # torchvision refuses to download what is there
    found = datasets.Places365(str(root), split="val", small=True, download=not again)
    return _files(sorted(Path(path) for path, _ in found.imgs))


def _of_pytorch_ood(class_name: str) -> Callable[[], Stored]:
    def load() -> Stored:
        try:
            module = import_extra("pytorch_ood.dataset.img", f"the images {class_name!r}")
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f'{class_name} needs pytorch-ood: pip install pytorch-ood (or "vsmooth[ood]")', name="pytorch_ood"
            ) from error
        found = getattr(module, class_name)(str(data_root()), download=True)
        return _files([Path(found.basedir, name) for name in found.files])

    return load


def _files(paths: list[Path]) -> Stored:
    root = data_root()
    return Files(root, [str(path.absolute().relative_to(root)) for path in paths])


DOWNLOADED: Mapping[str, tuple[str, Callable[[], Stored]]] = {
    "textures": ("torchvision: DTD, 5,640 images of 47 textures, of many sizes", _textures),
    "places365": ("torchvision: 36,500 validation images of scenes, 256 pixels", _places365),
    "lsun-crop": ("pytorch-ood: 10,000 crops of LSUN, 32x32", _of_pytorch_ood("LSUNCrop")),
    "lsun-resize": ("pytorch-ood: 10,000 of LSUN resized to 32x32, with artefacts", _of_pytorch_ood("LSUNResize")),
}


def _download(name: str) -> Stored:
    root = data_root()
    try:
        return DOWNLOADED[name][1]()
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"{name!r} is neither in {root} nor could it be downloaded there ({error}); check the network, set "
            "VSMOOTH_DATA to a folder that holds it, or give a folder of its images"
        ) from error
