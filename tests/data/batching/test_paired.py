"""Batches of two sources: every step depends on (seeds, epoch, step) alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from data_builders import make_set, planned, write_photo_folder

from vsmooth.data import Augmentation, Batch, BatchSource, Paired, load_dataset, make_batches


@pytest.fixture(params=["resident", "streamed"])
def extra_of(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Makes a second source of 12 images."""
    if request.param == "resident":
        split: Any = make_set(12, size=16, seed=3)
    else:
        split = load_dataset(str(write_photo_folder(tmp_path)), image_size=16).train
    return lambda **options: make_batches(split, *planned(**{"batch_size": 5, "shuffle": True, "seed": 9} | options))


def source(**options: Any) -> BatchSource:
    settings = {"batch_size": 4, "shuffle": True, "drop_last": True, "augmentation": Augmentation(2)}
    return make_batches(make_set(22, size=16), *planned(**settings | options))


def assert_same(one: Batch, other: Batch) -> None:
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.indices, other.indices)  # type: ignore[arg-type]


def test_each_part_is_that_of_its_own_source(extra_of: Any) -> None:
    paired = Paired(source(), extra_of())
    # 5 steps an epoch; the second source has 3 batches an epoch, and goes on where it was.
    expected = [batch for epoch in range(5) for batch in extra_of().epoch(epoch)]
    assert (len(paired), paired.batch_size, paired.seed) == (5, 4, 0)
    for epoch in range(3):
        batches = list(paired.epoch(epoch))
        assert len(batches) == 5
        for step, (batch, alone) in enumerate(zip(batches, source().epoch(epoch), strict=True)):
            assert_same(batch, alone)
            assert batch.extra is not None
            assert_same(batch.extra, expected[5 * epoch + step])


def test_all_of_the_second_source_is_seen_before_any_comes_again(extra_of: Any) -> None:
    paired = Paired(source(), extra_of())
    seen = [index for epoch in range(3) for batch in paired.epoch(epoch) for index in batch.extra.indices.tolist()]
    for turn in range(5):
        assert sorted(seen[12 * turn : 12 * turn + 12]) == list(range(12))


@pytest.mark.parametrize("start", [0, 1, 3, 5])
def test_from_any_step_on(extra_of: Any, start: int) -> None:
    whole = list(Paired(source(), extra_of()).epoch(1))
    late = list(Paired(source(), extra_of()).epoch(1, start))
    assert len(late) == 5 - start
    for expected, found in zip(whole[start:], late, strict=True):
        assert_same(expected, found)
        assert_same(expected.extra, found.extra)  # type: ignore[arg-type]


def test_ranks_together_see_both_global_batches(extra_of: Any) -> None:
    even: dict[str, Any] = {"batch_size": 6, "drop_last": True}
    alone = list(Paired(source(), extra_of(**even)).epoch(2))
    ranks = [
        list(Paired(source(rank=rank, world_size=2), extra_of(rank=rank, world_size=2, **even)).epoch(2))
        for rank in range(2)
    ]
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
        assert torch.equal(whole.extra.images, torch.cat([part.extra.images for part in parts]))


@pytest.mark.parametrize("start", [-1, 6])
def test_start_outside_the_epoch(extra_of: Any, start: int) -> None:
    with pytest.raises(ValueError, match=rf"start must be a step in 0\.\.5 of the epoch, got {start}"):
        Paired(source(), extra_of()).epoch(0, start)


def test_a_second_source_without_batches() -> None:
    class Nothing:
        batch_size, seed = 1, 0

        def __len__(self) -> int:
            return 0

        def epoch(self, epoch: int, start: int = 0) -> Any:
            return iter(())

    with pytest.raises(ValueError, match="the second source has no batches"):
        Paired(source(), Nothing())
