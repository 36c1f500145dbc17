"""Logits computed once: the same losses as from the live teacher, and no cache taken for another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vsmooth.data import Augmentation, Batch, BatchPlan, ImageSet, Mixing, Placement, make_batches
from vsmooth.labels import OneHot
from vsmooth.losses import Divergence, kl_divergence
from vsmooth.losses.objective import LabelObjective
from vsmooth.methods import Distill, NetworkTeacher, SavedTeacher
from vsmooth.methods.teacher_cache import CachedTeacher, CacheKey, Storage, write_cache
from vsmooth.records.serialisation import from_plain, to_plain

CLASSES, SAMPLES, VIEWS = 10, 48, 3
AUGMENTATION = Augmentation(2)
KEY = CacheKey("abc123", "real", CLASSES, "fp32", "toy", SAMPLES, AUGMENTATION, 0, VIEWS)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (SAMPLES, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return ImageSet(pixels, torch.arange(SAMPLES) % CLASSES)


def make_network(seed: int, scale: float = 1.0) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, CLASSES)]
    network = nn.Sequential(*layers)
    with torch.no_grad():
        network[-1].weight *= scale
    return network


def make_teacher() -> NetworkTeacher:
    """Of confident logits, tens apart."""
    return NetworkTeacher(make_network(1, scale=60.0), CLASSES)


def batches_of(images: ImageSet, key: CacheKey = KEY, **options: Any) -> Any:
    settings = {"shuffle": False, "drop_last": False, "augmentation": key.augmentation}
    plan = BatchPlan(16, seed=key.seed, views=key.views, **settings | options)
    return make_batches(images, plan, Placement("cpu"))


def written(images: ImageSet, folder: Path, key: CacheKey = KEY) -> CachedTeacher:
    write_cache(folder, key, make_teacher(), batches_of(images, key))
    return CachedTeacher(folder, key)


@pytest.mark.parametrize("kind", ["kl", "decoupled", "standardised"])
@pytest.mark.parametrize("tau", [1.0, 4.0, 30.0])
def test_same_losses_as_from_the_live_teacher(images: ImageSet, tmp_path: Path, kind: Any, tau: float) -> None:
    cached, live, divergence = written(images, tmp_path), make_teacher(), Divergence(kind, tau)
    student = make_network(2).eval()
    gap = live.logits(Batch(images.images / 255, images.labels))
    assert (gap.amax(1) - gap.amin(1)).mean() > 15  # a test of float16 wants logits that it rounds
    for epoch in (0, 1, 5):
        for batch in batches_of(images, shuffle=True).epoch(epoch):
            ours, theirs = (
                Distill(teacher, LabelObjective(OneHot()), CLASSES, 0.9, divergence).craft(student, batch)
                for teacher in (cached, live)
            )
            method = Distill(live, LabelObjective(OneHot()), CLASSES, 0.9, divergence)
            losses = [method.loss(student, crafted).total for crafted in (ours, theirs)]
            torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-4)


def test_each_view_is_computed_once(images: ImageSet, tmp_path: Path) -> None:
    class Counting(NetworkTeacher):
        calls = 0

        def logits(self, batch: Batch) -> Tensor:
            Counting.calls += 1
            return super().logits(batch)

    teacher, begun = Counting(make_network(1), CLASSES), []
    write_cache(tmp_path, KEY, teacher, batches_of(images), on_view=begun.append)
    assert (Counting.calls, begun) == (3 * VIEWS, [0, 1, 2])
    (tmp_path / "view-1.safetensors").unlink()
    write_cache(tmp_path, KEY, teacher, batches_of(images), on_view=begun.append)  # what was interrupted goes on
    assert (Counting.calls, begun) == (3 * VIEWS + 3, [0, 1, 2, 1])
    views = [f"view-{view}.safetensors" for view in range(VIEWS)]
    names = {"cache.json", *views, *(f"{view}.sha256" for view in views)}
    assert {path.name for path in tmp_path.iterdir()} == names
    (tmp_path / "view-2.safetensors.sha256").unlink()  # killed before its digest was written: it may not be whole
    write_cache(tmp_path, KEY, teacher, batches_of(images), on_view=begun.append)
    assert begun == [0, 1, 2, 1, 2]


def test_processes_share_the_views(images: ImageSet, tmp_path: Path) -> None:
    for rank in range(2):
        write_cache(tmp_path / "two", KEY, make_teacher(), batches_of(images), views=range(rank, VIEWS, 2))
    together, alone = CachedTeacher(tmp_path / "two", KEY), written(images, tmp_path / "one")
    for epoch in range(VIEWS):
        for batch in batches_of(images).epoch(epoch):
            assert torch.equal(together.logits(batch), alone.logits(batch))


@pytest.mark.parametrize("tau", [1.0, 30.0])
def test_top_k_and_remainder(tau: float) -> None:
    logits = torch.randn(6, 40) * 4
    storage = Storage(5, tau)
    packed = storage.pack(logits)
    assert {name: table.dtype for name, table in packed.items()} == {
        "values": torch.float16, "classes": torch.int16, "rest": torch.float16,
    }  # fmt: skip
    found = storage.unpack(packed, 40)
    top = logits.topk(5).indices
    # The top k keep their share at this temperature, and the others theirs together.
    expected = (logits / tau).softmax(1).gather(1, top)
    torch.testing.assert_close((found / tau).softmax(1).gather(1, top), expected, rtol=4e-3, atol=1e-4)
    others = found.scatter(1, top, torch.nan)
    assert all(len(row[~row.isnan()].unique()) == 1 for row in others)


def test_top_k_is_exact_where_the_others_are_equal() -> None:
    logits = torch.full((2, 40), -1.5)
    logits[0, [3, 7]], logits[1, [0, 39]] = torch.tensor([9.0, 4.0]), torch.tensor([2.0, 8.0])
    found = Storage(2, 30.0).unpack(Storage(2, 30.0).pack(logits), 40)
    assert kl_divergence(logits, found).item() < 1e-4
    ours, wanted = (z - z.mean(1, keepdim=True) for z in (found, logits))
    torch.testing.assert_close(ours, wanted, rtol=1e-3, atol=2e-3)


def test_compact(images: ImageSet, tmp_path: Path) -> None:
    written(images, tmp_path)
    size = (tmp_path / "view-0.safetensors").stat().st_size
    assert size - 2 * SAMPLES * CLASSES < 200  # the header
    wide = Storage(3).pack(torch.randn(4, 40_000))
    assert wide["classes"].dtype == torch.int32


CHANGES: dict[str, Any] = {
    "teacher": "def456",
    "data": "other",
    "augmentation": Augmentation(1),
    "seed": 1,
    "views": 2,
    "samples": SAMPLES - 1,
    "precision": "bf16",
    "storage": Storage(4, 30.0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_cache_is_detected(images: ImageSet, tmp_path: Path, name: str) -> None:
    written(images, tmp_path)
    other = replace(KEY, **{name: CHANGES[name]})
    assert other.name != KEY.name
    message = f"is another one: {name} .*, not .*; delete it or choose another folder"
    with pytest.raises(ValueError, match=message):
        CachedTeacher(tmp_path, other)
    with pytest.raises(ValueError, match=message):
        write_cache(tmp_path, other, make_teacher(), batches_of(images))


def test_key_survives_its_file() -> None:
    assert replace(KEY, augmentation=Augmentation(2)).name == KEY.name
    rich = replace(KEY, augmentation=Augmentation(0, resized_crop=(0.5, 1.0)))
    assert from_plain(CacheKey, json.loads(json.dumps(to_plain(rich)))) == rich


def test_unfinished_or_damaged_caches(images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no cache of a teacher's logits"):
        CachedTeacher(tmp_path, KEY)
    teacher = written(images, tmp_path)
    view = tmp_path / "view-1.safetensors"
    content = view.read_bytes()
    view.write_bytes(content[:-100])
    (batch, *_) = batches_of(images).epoch(1)
    with pytest.raises(ValueError, match=r"view-1.safetensors is damaged or was replaced: .*; delete it and run"):
        teacher.logits(batch)
    view.unlink()
    with pytest.raises(ValueError, match=r"lacks views \[1\]: it was not written to the end"):
        CachedTeacher(tmp_path, KEY)
    (tmp_path / "cache.json").write_text("{")
    with pytest.raises(ValueError, match=r"cache\.json cannot be read"):
        CachedTeacher(tmp_path, KEY)


def test_bad_input(images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"need batches that tell their samples: BatchPlan\(..., views=V\)"):
        written(images, tmp_path).logits(Batch(images.images / 255, images.labels))
    with pytest.raises(ValueError, match="views must be at least 1, got 0"):
        replace(KEY, views=0)
    mixed = batches_of(images, mixing=Mixing(mixup=0.8), num_classes=CLASSES)
    with pytest.raises(ValueError, match="MixUp and CutMix make images that no saved logits are for"):
        write_cache(tmp_path / "mixed", KEY, make_teacher(), mixed)
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        Storage(0)
    with pytest.raises(ValueError, match="top_k=10 of 10 logits leaves nothing out"):
        Storage(10).pack(torch.randn(2, 10))
    for bad in (torch.nan, 1e6):
        with pytest.raises(ValueError, match="infinite, NaN or beyond float16"):
            Storage().pack(torch.tensor([[0.0, bad]]))
    with pytest.raises(ValueError, match=r"logits of shape \(16, 10\), expected \(B, 7\)"):
        write_cache(tmp_path / "narrow", replace(KEY, width=7), make_teacher(), batches_of(images))
    fewer = batches_of(images.subset(torch.arange(40)))
    with pytest.raises(ValueError, match=r"the batches hold 40 samples, the cache in .* is of 48"):
        write_cache(tmp_path / "fewer", KEY, make_teacher(), fewer)


def test_saved_logits(images: ImageSet) -> None:
    rows = torch.randn(SAMPLES, CLASSES)
    teacher = SavedTeacher(rows)
    assert teacher.width == CLASSES
    for batch in batches_of(images, shuffle=True).epoch(0):
        assert batch.indices is not None
        assert torch.equal(teacher.logits(batch), rows[batch.indices])
