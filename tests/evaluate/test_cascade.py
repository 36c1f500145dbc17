"""Interrupted, resumed and shared evaluations against one that ran through; damaged parts; the interval."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from robust_builders import THREAT, Scripted, numbered_images, one_pixel_model, scripted
from scipy.stats import norm

from vsmooth.evaluate import Column, Evaluation, FolderParts, Parts, RobustResult, Sharing, Standing, evaluate_robust

IMAGES, LABELS = numbered_images(23, wrong=(4, 20))


def _columns(dies_at: int | None = None, second: int | None = None) -> tuple[Column, ...]:
    return (
        Column("A", "real", (scripted(1, 2, 3, 17, dies_at=dies_at), scripted(7, 18, label="next", dies_at=second))),
        Column("B", "real", (scripted(2, 5, 19),), on="standing"),
    )


def _evaluate(columns: tuple[Column, ...], parts: Parts | None = None, **more: object) -> RobustResult:
    how = Evaluation(batch_size=4, seed=3, parts=parts, **more)  # type: ignore[arg-type]
    return evaluate_robust(one_pixel_model(), IMAGES, LABELS, columns, THREAT, num_classes=2, evaluation=how)


def _same(one: RobustResult, other: RobustResult) -> None:
    assert torch.equal(one.clean, other.clean)
    assert torch.equal(one.stands, other.stands)
    assert torch.equal(one.images, other.images)
    for ours, theirs in zip(one.columns, other.columns, strict=True):
        assert torch.equal(ours.stands, theirs.stands)
        assert [a.standing for a in ours.attacks] == [a.standing for a in theirs.attacks]


def _calls(columns: tuple[Column, ...]) -> list[int]:
    return [len(attack.seen) for column in columns for attack in column.attacks if isinstance(attack, Scripted)]


def _fallen(found: RobustResult) -> list[int]:
    return (~found.stands).nonzero().flatten().tolist()


@pytest.mark.parametrize("kind", ["folder", "memory"])
@pytest.mark.parametrize(("died", "left"), [((3, None), [4, 5, 4]), ((None, 2), [0, 4, 4])])
def test_an_interrupted_evaluation_goes_on(
    kind: str, died: tuple[int | None, int | None], left: list[int], tmp_path: Path
) -> None:
    whole = _evaluate(columns := _columns())
    assert _calls(columns) == [6, 5, 4]  # 21 right, 17 after the first attack, 15 after the second, in fours
    assert _fallen(whole) == [1, 2, 3, 4, 5, 7, 17, 18, 19, 20]
    parts = FolderParts(tmp_path) if kind == "folder" else Parts()
    with pytest.raises(KeyboardInterrupt):
        _evaluate(_columns(*died), parts)
    _same(_evaluate(columns := _columns(), parts), whole)
    assert _calls(columns) == left
    _same(_evaluate(columns := _columns(), parts), whole)
    assert _calls(columns) == [0, 0, 0]


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_work(processes: int, tmp_path: Path) -> None:
    whole, barrier = _evaluate(_columns()), threading.Barrier(processes)
    found: dict[int, RobustResult] = {}
    own = [_columns() for _ in range(processes)]
    told: list[list[tuple[str, str, int, int, int]]] = [[] for _ in range(processes)]

    def work(rank: int) -> None:
        found[rank] = _evaluate(
            own[rank], FolderParts(tmp_path), sharing=Sharing(rank, processes, lambda: barrier.wait(20) and None),
            on_progress=lambda *news: told[rank].append(news),
        )

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank in range(processes):
        _same(found[rank], whole)
        assert told[rank][-1][2] == told[rank][-1][3]  # each is through with its own images
    calls = [_calls(columns) for columns in own]
    assert [sum(counts) for counts in zip(*calls, strict=True)] == [6, 5, 4]
    assert all(sum(counts) < 15 for counts in calls)
    _same(_evaluate(columns := _columns(), FolderParts(tmp_path)), whole)  # one process goes on where several began
    assert _calls(columns) == [0, 0, 0]


def test_a_damaged_part_is_refused_and_a_missing_one_made_again(tmp_path: Path) -> None:
    whole = _evaluate(_columns(), FolderParts(tmp_path))
    files = sorted(tmp_path.glob("00-00/*.safetensors"))
    assert len(files) == 6
    for end in ("", ".sha256"):  # of other images
        Path(f"{files[3]}{end}").write_bytes(Path(f"{files[4]}{end}").read_bytes())
    files[5].unlink()
    flipped = bytearray(files[0].read_bytes())
    flipped[-1] ^= 1
    files[0].write_bytes(flipped)
    with pytest.raises(ValueError, match=r"00000\.safetensors is damaged or was replaced: .*; delete it"):
        _evaluate(_columns(), FolderParts(tmp_path))
    assert files[0].read_bytes() == flipped
    files[0].unlink()
    _same(_evaluate(columns := _columns(), FolderParts(tmp_path)), whole)
    assert _calls(columns) == [3, 0, 0]


def test_mistakes_of_several_processes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 processes share what they find in parts: pass parts"):
        _evaluate(_columns(), sharing=Sharing(0, 2, lambda: None))
    with pytest.raises(ValueError, match="2 processes need a barrier"):
        Sharing(0, 2)
    with pytest.raises(ValueError, match=r"rank must be in 0\.\.1, got 2"):
        Sharing(2, 2, lambda: None)
    with pytest.raises(ValueError, match="batch 1 of the attack 'clean' is missing: the processes must"):
        _evaluate(_columns(), FolderParts(tmp_path), sharing=Sharing(0, 2, lambda: None))


@pytest.mark.parametrize(("count", "images"), [(0, 10), (10, 10), (50, 100), (263, 500)])
def test_the_interval_is_wilsons(count: int, images: int) -> None:
    found, z, share = Standing.of(count, images), float(norm.ppf(0.975)), count / images
    # Wilson (1927), Eq. 1: the two shares p with |share - p| = z sqrt(p (1 - p) / n).
    for end in (found.low, found.high):
        assert abs(share - end) == pytest.approx(z * (end * (1 - end) / images) ** 0.5, abs=1e-9)
    assert found.low <= found.accuracy <= found.high
    if count == 50:
        assert (found.low, found.high) == pytest.approx((0.40383, 0.59617), abs=1e-5)


def test_a_share_of_nothing() -> None:
    for count, images in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match=f"0 <= count <= images and an image, got {count} of {images}"):
            Standing.of(count, images)
