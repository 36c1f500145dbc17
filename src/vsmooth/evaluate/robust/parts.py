"""Saved results of each batch of a robust evaluation, so that it can be interrupted and shared by processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vsmooth.atomic import replacing
from vsmooth.digests import DamagedFileError, check_written, digest_file, write_digest

_REMEDY = "delete it and run the same command again, which attacks this batch again"


@dataclass(frozen=True, eq=False)
class Part:
    """One batch after one attack, on the CPU.

    indices: (B,) int64, of the attacked images. fooled: (B,) bool. found: (F,) int64, those of the fooled images that
    no attack before had broken, and images: (F, C, H, W), what they became.
    """

    indices: Tensor
    fooled: Tensor
    found: Tensor
    images: Tensor

    def fits(self, image_shape: Sequence[int]) -> bool:
        """Whether these are outcomes of such images, as the attacks leave them: a damaged file may hold anything."""
        count = len(self.indices)
        return (
            self.fooled.dtype == torch.bool
            and self.fooled.shape == (count,)
            and self.found.dtype == torch.int64
            and self.found.ndim == 1
            and bool(torch.isin(self.found, self.indices[self.fooled]).all())
            and len(self.found.unique()) == len(self.found)
            and self.images.dtype == torch.float32
            and self.images.shape == (len(self.found), *image_shape)
            and bool(self.images.isfinite().all())
        )

    @classmethod
    def join(cls, parts: Sequence[Part], image_shape: Sequence[int]) -> Part:
        """One after another; none: an empty part."""
        if not parts:
            none = torch.empty(0, dtype=torch.int64)
            return cls(none, none.bool(), none, torch.empty(0, *image_shape))
        columns = zip(*((part.indices, part.fooled, part.found, part.images) for part in parts), strict=True)
        return cls(*(torch.cat(column) for column in columns))


class Parts:
    """The parts of one evaluation, in memory; shared by threads, not by processes."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], Part] = {}

    def save(self, stage: str, batch: int, part: Part) -> None:
        self._parts[stage, batch] = part

    def load(self, stage: str, batch: int, indices: Tensor, image_shape: Sequence[int]) -> Part | None:
        """The part of just these images (B, *image_shape); None if there is none."""
        found = self._parts.get((stage, batch))
        return found if found is not None and torch.equal(found.indices, indices) else None

    def within(self, name: str) -> Parts:
        """A place for another evaluation that is a piece of this one."""
        return _Named(self, name)


class FolderParts(Parts):
    """The parts of one evaluation as ``folder/STAGE/BATCH.safetensors``, for any number of processes.

    Each has its SHA-256 beside it, written last: a file without one was not finished and counts as not there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def save(self, stage: str, batch: int, part: Part) -> None:
        """OSError where the folder cannot be written."""
        path = self._path(stage, batch)
        digest_file(path).unlink(missing_ok=True)
        with replacing(path) as partial:
            save_file({name: values.contiguous() for name, values in vars(part).items()}, partial)
        write_digest(path)

    def load(self, stage: str, batch: int, indices: Tensor, image_shape: Sequence[int]) -> Part | None:
        """The part of just these images; None if there is none, or it is of other images.

        Raises:
            DamagedFileError: the file is not what was written, or does not hold what an attack leaves.
            OSError: the file cannot be read.
        """
        path = self._path(stage, batch)
        if not path.is_file() or not digest_file(path).is_file():
            return None
        try:
            part = Part(**load_file(check_written(path, _REMEDY)))
        except (SafetensorError, TypeError) as error:
            raise DamagedFileError(f"{path} is damaged: {error}; {_REMEDY}") from None
        if not torch.equal(part.indices, indices):
            return None
        if not part.fits(image_shape):
            raise DamagedFileError(f"{path} is damaged: what it holds does not fit its images; {_REMEDY}")
        return part

    def within(self, name: str) -> Parts:
        return FolderParts(self.folder / name)

    def _path(self, stage: str, batch: int) -> Path:
        return self.folder / stage / f"{batch:05d}.safetensors"


class _Named(Parts):
    def __init__(self, whole: Parts, name: str) -> None:
        self._whole, self._name = whole, name

    def save(self, stage: str, batch: int, part: Part) -> None:
        self._whole.save(f"{self._name}/{stage}", batch, part)

    def load(self, stage: str, batch: int, indices: Tensor, image_shape: Sequence[int]) -> Part | None:
        return self._whole.load(f"{self._name}/{stage}", batch, indices, image_shape)

    def within(self, name: str) -> Parts:
        return _Named(self._whole, f"{self._name}/{name}")
