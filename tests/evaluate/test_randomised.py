"""A network that answers at random: chance alone must not break its images, and a second look must agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from robust_builders import THREAT, numbered_images, one_pixel_model, scripted
from torch import Tensor, nn

from vsmooth.attacks import Target
from vsmooth.evaluate import Column, Evaluation, FolderParts, RobustResult, Targets, evaluate_robust

COUNT = 64


class Hesitating(nn.Module):
    """The one-pixel model with noise on its deciding pixel: a clean image is wrong in about a seventh of cases."""

    def __init__(self, deviation: float = 0.045) -> None:
        super().__init__()
        self.model, self.deviation = one_pixel_model(), deviation

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        noise = self.deviation * torch.randn(len(images), 1)
        return logits + torch.cat([-noise, noise], 1)


def _columns(count: int = 6) -> tuple[Column, ...]:
    """Attacks that move nothing but what the network does not look at, apart from the images 0 to 9."""
    return tuple(Column(f"Column {place}", "real", (scripted(*range(10)),)) for place in range(count))


def _evaluate(folder: Path | None = None, seed: int = 0) -> RobustResult:
    images, labels = numbered_images(COUNT)
    return evaluate_robust(
        Hesitating().eval(), images, labels, _columns(), THREAT, num_classes=2,
        evaluation=Evaluation(batch_size=16, seed=seed, parts=None if folder is None else FolderParts(folder)),
    )


def _wrong_share(images: Tensor, times: int = 400) -> Tensor:
    model = Hesitating().eval()
    with torch.no_grad():
        return torch.stack([model(images).argmax(1) != 0 for _ in range(times)]).double().mean(0)


def test_chance_breaks_no_image() -> None:
    torch.manual_seed(0)
    clean, _ = numbered_images(COUNT)
    assert 0.1 < float(_wrong_share(clean).mean()) < 0.2  # one answer an attack would leave (6/7)^6 = 40 % of them
    found = _evaluate()
    assert found.judgements == 20
    assert found.clean.all()
    assert not found.stands[:10].any()
    assert found.stands[10:].all()
    again = _wrong_share(found.images)
    assert (again[~found.stands] > 0.5).all()
    assert (again[found.stands] < 0.5).all()


def test_the_same_seed_gives_the_same_result_also_when_resumed(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first, state = _evaluate(tmp_path), torch.random.get_rng_state()
    torch.manual_seed(2)
    for part in list(tmp_path.glob("*/00001.safetensors")):
        part.unlink()
    for again in (_evaluate(tmp_path), _evaluate()):
        assert torch.equal(first.stands, again.stands)
        assert torch.equal(first.images, again.images)
    torch.manual_seed(1)
    _evaluate()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_randomness_is_found_and_nothing_else() -> None:
    images, _ = numbered_images(4)
    assert Targets(Hesitating().eval(), images, num_classes=2).judgements == 20
    assert Targets(Hesitating(1e-7).eval(), images, num_classes=2).judgements == 1  # as a sum in another order differs
    silent = nn.Sequential(nn.Dropout(0.5), one_pixel_model())
    assert Targets(silent.eval(), images, num_classes=2).judgements == 1


def test_right_is_more_than_half_and_broken_four_fifths() -> None:
    def target(wrong: int, judgements: int) -> Target:
        """Gives the other class in the first `wrong` of its answers."""
        asked = iter(range(judgements))
        return Target(2, lambda pixels: pixels, lambda pixels: torch.eye(2)[[int(next(asked) < wrong)]], judgements)

    image, label = torch.zeros(1, 1, 1, 1), torch.tensor([0])
    assert [wrong for wrong in range(21) if target(wrong, 20).right(image, label)] == list(range(10))
    assert [wrong for wrong in range(21) if target(wrong, 20).broken(image, label)] == [16, 17, 18, 19, 20]
    assert [bool(target(wrong, 1).right(image, label)) for wrong in (0, 1)] == [True, False]
    assert [bool(target(wrong, 1).broken(image, label)) for wrong in (0, 1)] == [False, True]
    with pytest.raises(ValueError, match="judgements must be at least 1, got 0"):
        target(0, 0)
