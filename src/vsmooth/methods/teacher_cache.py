"""A teacher's logits, computed once for a number of views of every image and read back while the student trains.

A cache is a folder: ``cache.json`` says what its logits depend on, ``view-N.safetensors`` holds one view, half
precision, with its SHA-256 beside it. An epoch shows one view, so one file is in memory at a time.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vsmooth.atomic import replacing
from vsmooth.data import Augmentation, Batch, BatchSource
from vsmooth.digests import DamagedFileError, check_written, digest_file, write_digest
from vsmooth.head import LogitSet
from vsmooth.methods.teacher import Teacher, check_width, places
from vsmooth.records.bounds import Count, Positive
from vsmooth.records.json_files import RecordFile
from vsmooth.records.plain_values import brief
from vsmooth.records.serialisation import to_plain

KEY_FILE = "cache.json"
_REMEDY = "delete it and run the same command again"
_Described = dict[str, tuple[torch.dtype, tuple[int, ...]]]
_LONGEST = 200  # of what a message says of tables
_MOST_SHORT = 1 << 15  # classes that an int16 can name


@dataclass(frozen=True)
class Storage:
    """How the logits of one image are kept.

    top_k: the k largest by themselves, the others by one number, such that their share of softmax(z / tau) is kept;
    ``None``: all of them.
    Limits: 2 bytes a logit (4 or 6 for one of the top k). Logits are centred first, which changes no softmax, and then
    rounded to float16: off by at most 1/2048 of their distance from the mean. The top k lose nothing more where the
    other logits are equal.
    Errors: ValueError for top_k < 1 and tau <= 0.
    """

    top_k: int | None = None
    tau: float = 1.0

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1 (None keeps all logits), got {self.top_k}")
        if not 0 < self.tau < math.inf:
            raise ValueError(f"the temperature tau must be positive and finite, got {self.tau}")

    def pack(self, logits: Tensor) -> dict[str, Tensor]:
        """(B, C) -> tensors of B rows. ValueError for top_k >= C and for logits that are not finite."""
        z = logits.float()
        z = (z - z.mean(1, keepdim=True)).cpu()
        if not z.half().isfinite().all():
            raise ValueError("the teacher's logits are infinite, NaN or beyond float16: they cannot be kept")
        if self.top_k is None:
            return {"logits": z.half()}
        if self.top_k >= z.shape[1]:
            raise ValueError(f"top_k={self.top_k} of {z.shape[1]} logits leaves nothing out: leave top_k out")
        values, classes = z.topk(self.top_k, 1)
        others = z.scatter(1, classes, -math.inf)
        rest = self.tau * ((others / self.tau).logsumexp(1) - math.log(z.shape[1] - self.top_k))
        return {"values": values.half(), "classes": classes.to(_classes_of(z.shape[1])), "rest": rest.half()}

    def check(self, tables: dict[str, Tensor], samples: int, width: int) -> None:
        """ValueError unless `tables` are what `pack` makes of the logits (samples, width)."""
        expected: _Described = {"logits": (torch.float16, (samples, width))}
        if self.top_k is not None:
            short = _classes_of(width)
            expected = {
                "values": (torch.float16, (samples, self.top_k)),
                "classes": (short, (samples, self.top_k)),
                "rest": (torch.float16, (samples,)),
            }
        found = {name: (table.dtype, tuple(table.shape)) for name, table in tables.items()}
        if found != expected:
            raise ValueError(f"it holds {_described(found)} instead of {_described(expected)}")
        if not all(table.isfinite().all() for table in tables.values()):
            raise ValueError("it holds NaN or infinite logits")
        if self.top_k is not None and not ((tables["classes"] >= 0) & (tables["classes"] < width)).all():
            raise ValueError(f"it names classes outside 0..{width - 1}")

    def unpack(self, rows: dict[str, Tensor], width: int) -> Tensor:
        """Tensors of B rows -> (B, width) float32."""
        if self.top_k is None:
            return rows["logits"].float()
        rest = rows["rest"].float()[:, None].expand(-1, width)
        return rest.scatter(1, rows["classes"].long(), rows["values"].float())


@dataclass(frozen=True)
class CacheKey:
    """What cached logits depend on; a cache with another value of any of these is another cache.

    teacher: fingerprint of its weights. taught, width: which logits and how many. precision: that it runs in.
    data: fingerprint of the split's images. samples: how many. augmentation, seed, views: which views of them.
    Errors: ValueError for no views.
    """

    teacher: str
    taught: LogitSet
    width: Positive
    precision: str
    data: str
    samples: Count
    augmentation: Augmentation
    seed: Count
    views: int
    storage: Storage = Storage()

    def __post_init__(self) -> None:
        if self.views < 1:
            raise ValueError(f"views must be at least 1, got {self.views}")

    @property
    def name(self) -> str:
        """Ten hexadecimal digits that change with any field: a folder's name."""
        return hashlib.sha256(json.dumps(to_plain(self), sort_keys=True).encode()).hexdigest()[:10]


_KEYS = RecordFile(KEY_FILE, CacheKey, "delete its folder and run again")


class CachedTeacher(Teacher):
    """Gives the logits of a finished cache to batches of its views.

    Raises:
        ValueError: the folder is no cache, or one of another teacher, data set, augmentation ... (named), or not
            finished, or damaged; a batch that does not tell its view, or a view that the cache does not have.
    """

    def __init__(self, folder: Path, key: CacheKey) -> None:
        _check_key(folder, key)
        missing = [view for view in range(key.views) if not _is_written(folder, view)]
        if missing:
            raise ValueError(f"the cache in {folder} lacks views {missing}: it was not written to the end")
        self.folder, self.key, self.width = folder, key, key.width
        self._loaded: tuple[int, dict[str, Tensor]] | None = None

    def logits(self, batch: Batch) -> Tensor:
        """(B, width) float32."""
        indices, view = places(batch)
        if self._loaded is None or self._loaded[0] != view:
            self._loaded = None  # before the next is read: two views need not fit into memory
            self._loaded = view, _read(self.folder, view, self.key)
        rows = {name: table[indices] for name, table in self._loaded[1].items()}
        moved = {name: part.to(batch.images.device, non_blocking=True) for name, part in rows.items()}
        return self.key.storage.unpack(moved, self.width)


def write_cache(
    folder: Path,
    key: CacheKey,
    teacher: Teacher,
    batches: BatchSource,
    *,
    views: Iterable[int] | None = None,
    on_view: Callable[[int], None] = lambda view: None,
) -> None:
    """Write the views that ``folder`` lacks; interrupted, it goes on with the view it was at.

    batches: of the whole split in its order, with ``views=key.views``. views: those to be written here, when several
    processes share the work; ``None``: all. ``on_view`` is told which one begins.

    Raises:
        ValueError: the folder holds another cache; logits of another width or not finite; another number of samples;
            batches that do not tell their samples, or that are mixed.
        OSError: the folder cannot be written.
    """
    if (folder / KEY_FILE).is_file():
        _check_key(folder, key)
    _KEYS.write(key, folder)
    for view in range(key.views) if views is None else views:
        if _is_written(folder, view):
            continue
        on_view(view)
        parts = [key.storage.pack(_ask(teacher, batch, key.width)) for batch in batches.epoch(view)]
        tables = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        if len(tables[next(iter(tables))]) != key.samples:
            found = len(tables[next(iter(tables))])
            raise ValueError(f"the batches hold {found} samples, the cache in {folder} is of {key.samples}")
        with replacing(_file(folder, view)) as partial:
            save_file(tables, partial)
        write_digest(_file(folder, view))


def _ask(teacher: Teacher, batch: Batch, width: int) -> Tensor:
    places(batch)
    logits = teacher.logits(batch)
    check_width(logits, width)
    return logits


def _read(folder: Path, view: int, key: CacheKey) -> dict[str, Tensor]:
    path = _file(folder, view)
    try:
        tables = load_file(check_written(path, _REMEDY))
        key.storage.check(tables, key.samples, key.width)
    except (OSError, SafetensorError, ValueError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise ValueError(f"{path} cannot be read ({error}); {_REMEDY}") from error
    return tables


def _classes_of(width: int) -> torch.dtype:
    return torch.int16 if width <= _MOST_SHORT else torch.int32


def _described(tables: _Described) -> str:
    return ", ".join(f"{name} {dtype} {shape}" for name, (dtype, shape) in sorted(tables.items()))[:_LONGEST]


def _check_key(folder: Path, key: CacheKey) -> None:
    found = _KEYS.find(folder)
    if found is None:
        raise ValueError(f"{folder} is no cache of a teacher's logits: it has no {KEY_FILE}")
    differing = [name for name in vars(key) if getattr(found, name) != getattr(key, name)]
    if differing:
        values = "; ".join(f"{name} {brief(getattr(found, name))}, not {getattr(key, name)}" for name in differing)
        raise ValueError(f"the cache in {folder} is another one: {values}; delete it or choose another folder")


def _is_written(folder: Path, view: int) -> bool:
    """Whether a view was written to its end: its digest comes last."""
    path = _file(folder, view)
    return path.is_file() and digest_file(path).is_file()


def _file(folder: Path, view: int) -> Path:
    return folder / f"view-{view}.safetensors"
