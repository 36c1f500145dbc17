"""Attacks in turn, batch by batch, each on the images that still stand; finished batches are kept, processes share."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor

from vsmooth.attacks import Attack, Target, ThreatModel
from vsmooth.bounds import check_one_of
from vsmooth.evaluate.robust.parts import Part, Parts
from vsmooth.head import LogitSet

if TYPE_CHECKING:
    from vsmooth.evaluate.robust.evaluation import Evaluation

On = Literal["right", "standing"]
Progress = Callable[[int, int, int], None]  # images done, of how many, how many of all stand


@dataclass(frozen=True)
class Column:
    """One column of a table of robust accuracies: `attacks` in turn, each on the images that stood those before it.

    view: "real" attacks the K real logits, "all" the K + V; success is judged on the K real ones in both.
    on: "right" begins with every image that is right when clean, so that the column is a number of its own;
    "standing" with those that stood all columns before it, so that its number is the worst case so far.
    ValueError for no attacks and unknown words.
    """

    name: str
    view: LogitSet
    attacks: tuple[Attack, ...]
    on: On = "right"

    def __post_init__(self) -> None:
        if not self.attacks:
            raise ValueError(f"the column {self.name!r} has no attacks")
        check_one_of(f"view of the column {self.name!r}", self.view, get_args(LogitSet))
        check_one_of(f"on of the column {self.name!r}", self.on, get_args(On))


@dataclass(frozen=True)
class Sharing:
    """Process `rank` of `world_size`; `barrier` returns when all of them have called it."""

    rank: int = 0
    world_size: int = 1
    barrier: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must be in 0..{self.world_size - 1}, got {self.rank}")
        if self.world_size > 1 and self.barrier is None:
            raise ValueError(f"{self.world_size} processes need a barrier to wait for each other")


class Cascade:
    """Images (N, C, H, W) and labels (N,) under one threat model, and what has become of them so far, on the CPU.

    right: (N,) bool, classified correctly when clean. stands: those of them that no attack has broken yet.
    found: (N, C, H, W), an adversarial image for each broken one, the clean image for the others.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        device: torch.device,
        evaluation: Evaluation,
    ) -> None:
        self.images, self.labels, self.threat, self.device = images, labels, threat, device
        self.batch_size, self.seed = evaluation.batch_size, evaluation.seed
        self.parts, self.sharing = evaluation.parts or Parts(), evaluation.sharing
        self.right = torch.ones(len(images), dtype=torch.bool)
        self.stands, self.found = self.right.clone(), images.clone()
        self._most = evaluation.batch_size  # images that memory has room for

    def judge_clean(self, target: Target) -> None:
        """Find `right`; call it once, before any attack."""

        def judge(indices: Tensor) -> Part:
            images, labels = self._take(indices)
            return self._part(indices, ~target.right(images, labels), images)

        self.right = self._run("clean", self.right, judge)
        self.stands = self.right.clone()

    def attack(self, stage: str, attack: Attack, target: Target, standing: Tensor, on_batch: Progress) -> Tensor:
        """What still stands (N,) of `standing` (N,), all of them right when clean; `stage` names the attack's parts."""

        def run(indices: Tensor) -> Part:
            images, labels = self._take(indices)
            known = torch.ones_like(labels, dtype=torch.bool)
            done = attack(target, images, labels, self.threat, seed=self.seed, right=known)
            return self._part(indices, done.fooled, done.images)

        left = self._run(stage, standing, run, on_batch)
        self.stands &= left | ~standing
        return left

    def _run(
        self, stage: str, chosen: Tensor, job: Callable[[Tensor], Part], on_batch: Progress | None = None
    ) -> Tensor:
        """`chosen` without what the job fooled, in batches that `chosen` alone determines."""
        batches = [indices for indices in chosen.nonzero().flatten().split(self.batch_size) if len(indices)]
        mine = range(self.sharing.rank, len(batches), self.sharing.world_size)
        done, standing, total = 0, int(chosen.sum()), sum(len(batches[number]) for number in mine)
        for number in mine:
            part = self.parts.load(stage, number, batches[number], self.images.shape[1:])
            if part is None:
                with _seeded(f"{self.seed}/{stage}/{number}", self.device):
                    part = self._in_memory(job, batches[number])
                self.parts.save(stage, number, part)
            done, standing = done + len(part.indices), standing - int(part.fooled.sum())
            if on_batch is not None:
                on_batch(done, total, standing)
        if self.sharing.barrier is not None:
            self.sharing.barrier()
        whole = Part.join([self._read(stage, *item) for item in enumerate(batches)], self.images.shape[1:])
        self.found[whole.found] = whole.images
        return chosen.index_put((whole.indices[whole.fooled],), torch.tensor(False))

    def _read(self, stage: str, number: int, indices: Tensor) -> Part:
        part = self.parts.load(stage, number, indices, self.images.shape[1:])
        if part is None:
            raise ValueError(
                f"batch {number} of the attack {stage!r} is missing: the processes must share one folder, and none of "
                "them may stop; run the same command again to go on"
            )
        return part

    def _in_memory(self, job: Callable[[Tensor], Part], indices: Tensor) -> Part:
        """The job in as many pieces as memory needs; their size is kept for the batches that follow."""
        pieces: list[Part] = []
        rest = indices
        while len(rest):
            head = rest[: self._most]
            piece = _or_none(job, head)
            if piece is None:
                self._most = len(head) // 2
                clear_device_cache(garbage_collection=True)
            else:
                pieces.append(piece)
                rest = rest[len(head) :]
        return Part.join(pieces, self.images.shape[1:])

    def _take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[indices].to(self.device), self.labels[indices].to(self.device)

    def _part(self, indices: Tensor, fooled: Tensor, images: Tensor) -> Part:
        fooled = fooled.cpu()
        new = fooled & self.stands[indices]
        return Part(indices, fooled, indices[new], images.cpu()[new])


@contextmanager
def _seeded(key: str, device: torch.device) -> Iterator[None]:
    """torch's own random numbers, which a randomised network takes, are those of `key`; the caller's are kept."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(zlib.crc32(key.encode()))
        yield


def _or_none(job: Callable[[Tensor], Part], indices: Tensor) -> Part | None:
    """The job's part; None where it ran out of memory, but not on a single image."""
    try:
        return job(indices)
    except RuntimeError as error:
        full = isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)
        if not full or len(indices) == 1:
            raise
    return None  # outside the handler, whose traceback holds on to the job's tensors
