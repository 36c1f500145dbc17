from __future__ import annotations

from typing import Any

import pytest
import torch
from data_builders import make_set, planned

from vsmooth.data import NO_MIXING, Batch, Batches, ImageSet, Mixing
from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses import smoothed_cross_entropy

CLASSES = 5


def numbered(count: int = 10, size: int = 20) -> ImageSet:
    """Image i is of grey level i, and of its own class up to CLASSES."""
    levels = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1)
    return ImageSet(levels.expand(count, 1, size, size).contiguous(), torch.arange(count) % CLASSES)


def batches_of(split: ImageSet, mixing: Mixing, epoch: int = 0, **options: Any) -> list[Batch]:
    settings = {"num_classes": CLASSES, "mixing": mixing}
    return list(Batches(split, *planned(5, **(settings | options))).epoch(epoch))


@pytest.mark.parametrize("mixing", [Mixing(0.8), Mixing(cutmix=1.0), Mixing(0.8, 1.0)])
def test_labels_are_probabilities_of_two_neighbours(mixing: Mixing) -> None:
    for batch in batches_of(make_set(10, classes=CLASSES), mixing):
        assert batch.labels.dtype == torch.float32
        assert batch.labels.shape == (5, CLASSES)
        torch.testing.assert_close(batch.labels.sum(1), torch.ones(5))
        assert (batch.labels > 0).sum(1).max() <= 2
        assert batch.images.min() >= 0
        assert batch.images.max() <= 1


def test_mixup_mixes_images_as_it_mixes_labels() -> None:
    for epoch in range(5):
        for start, batch in zip((0, 5), batches_of(numbered(), Mixing(0.8), epoch), strict=True):
            # Sample i is share * itself + (1 - share) * its neighbour, in the label and in the grey level alike.
            share = batch.labels[torch.arange(5), torch.arange(5)]
            neighbour = batch.labels.masked_fill(torch.eye(5, dtype=torch.bool), -1).argmax(1)
            levels = share * (start + torch.arange(5)) + (1 - share) * (start + neighbour)
            found = batch.images.flatten(1) * 255
            torch.testing.assert_close(found, levels[:, None].expand_as(found), atol=1e-4, rtol=0)
            assert share.unique().numel() == 1


def test_cutmix_labels_are_the_shares_of_the_area() -> None:
    pasted = 0
    for epoch in range(6):
        for start, batch in zip((0, 5), batches_of(numbered(), Mixing(cutmix=1.0), epoch), strict=True):
            levels = (batch.images.flatten(1) * 255).round().long() - start
            counts = torch.stack([(levels == label).float().mean(1) for label in range(CLASSES)], dim=1)
            torch.testing.assert_close(batch.labels, counts)
            pasted += int((counts > 0).sum(1).max() == 2)
    assert pasted >= 6


def test_with_both_each_batch_takes_one() -> None:
    kinds = []
    for epoch in range(20):
        for start, batch in zip((0, 5), batches_of(numbered(), Mixing(1.0, 1.0), epoch), strict=True):
            levels = batch.images.flatten(1) * 255 - start
            kinds.append(bool((levels - levels.round()).abs().max() < 1e-3))  # pasted, or blended
    assert 10 <= sum(kinds) <= 30


@pytest.mark.parametrize(
    ("scheme", "width"),
    [(OneHot(), 5), (LabelSmoothing(0.1), 5), (VirtualSmoothing(0.3), 10), (VirtualSmoothing(0.5, 3), 8)],
)
def test_mixing_labels_is_mixing_losses(scheme: LabelScheme, width: int) -> None:
    """CE(z, scheme(l a + (1 - l) b)) = l CE(z, scheme(a)) + (1 - l) CE(z, scheme(b))."""
    batch = batches_of(numbered(), Mixing(0.8))[0]
    logits = torch.randn(5, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    own = torch.arange(5)
    share = batch.labels[own, own].double()
    neighbour = batch.labels.masked_fill(torch.eye(5, dtype=torch.bool), -1).argmax(1)
    assert ((share > 0) & (share < 1)).all()

    def losses(targets: torch.Tensor) -> torch.Tensor:
        return smoothed_cross_entropy(logits, targets, scheme, CLASSES, reduction="none")

    mixed = losses(batch.labels.double())
    torch.testing.assert_close(mixed, share * losses(own) + (1 - share) * losses(neighbour), atol=1e-6, rtol=0)


def test_draws_depend_on_seed_epoch_step_and_rank_alone() -> None:
    split, mixing = numbered(), Mixing(0.8, 1.0)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = batches_of(split, mixing)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    resumed = Batches(split, *planned(5, num_classes=CLASSES, mixing=mixing))
    again = next(resumed.epoch(0, start=1))
    assert torch.equal(one[1].labels, again.labels)
    assert torch.equal(one[1].images, again.images)
    assert not torch.equal(one[0].labels, one[1].labels)
    assert not torch.equal(one[0].labels, batches_of(split, mixing, epoch=1)[0].labels)
    assert not torch.equal(one[0].labels, batches_of(split, mixing, seed=1)[0].labels)


def test_each_rank_mixes_its_own_share() -> None:
    for rank in range(2):
        batch = batches_of(numbered(), Mixing(0.8), rank=rank, world_size=2)[0]
        mine = [0, 1] if rank == 0 else [2, 3, 4]
        assert batch.labels.any(0).nonzero().flatten().tolist() == mine


def test_an_empty_share_stays_empty() -> None:
    batch = batches_of(numbered(6), Mixing(0.8), rank=0, world_size=2)[1]
    assert batch.labels.shape == (0, CLASSES)
    assert batch.images.shape == (0, 1, 20, 20)


def test_no_mixing_leaves_indices() -> None:
    assert Mixing() == NO_MIXING
    assert batches_of(numbered(), NO_MIXING)[0].labels.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("values", "message"),
    [((-0.1, 0), r"mixup must be 0 \(none\) or a positive"), ((0.0, float("nan")), "cutmix must be 0 .*got nan")],
)
def test_bad_parameters(values: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixing(*values)


def test_mixing_needs_the_number_of_classes() -> None:
    with pytest.raises(ValueError, match="makes labels over K classes; give num_classes"):
        batches_of(numbered(), Mixing(0.8), num_classes=None)
