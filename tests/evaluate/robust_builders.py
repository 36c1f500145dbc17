"""A model that reads one pixel, images that carry their own number, and attacks that do as they are told."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vsmooth.attacks import Attack, Target, ThreatModel

THREAT = ThreatModel(epsilon=0.1)
STEP = 100  # an image's number is its first pixel times this


def one_pixel_model() -> nn.Sequential:
    """Class 1 where the second pixel is above 0.5, else class 0."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.0, -1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]))
        model[1].bias.copy_(torch.tensor([0.5, -0.5]))
    return model.eval()


def numbered_images(count: int, wrong: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """Images of class 0, 0.05 from the boundary; the model takes those of `wrong` for class 1."""
    images = torch.full((count, 1, 2, 2), 0.45)
    images[:, 0, 0, 0] = torch.arange(count) / STEP
    images[list(wrong), 0, 0, 1] = 0.9
    return images, torch.zeros(count, dtype=torch.int64)


def numbers_of(images: Tensor) -> list[int]:
    return (images[:, 0, 0, 0] * STEP).round().long().tolist()


@dataclass(frozen=True)
class Scripted(Attack):
    """Moves the deciding pixel of the images in `breaks`, and all other pixels but the number at random.

    seen: the numbers of each batch it was given. dies_at: the call at which it raises. exact: it works only where the
    network that crafts has the logits of the one that decides, which bfloat16 has not.
    """

    breaks: frozenset[int]
    label: str = "scripted"
    dies_at: int | None = field(default=None, compare=False, repr=False)
    exact: bool = field(default=False, compare=False, repr=False)
    seen: list[list[int]] = field(default_factory=list, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.label

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        numbers = numbers_of(images)
        self.seen.append(numbers)
        if self.dies_at is not None and len(self.seen) >= self.dies_at:
            raise KeyboardInterrupt
        rounded = float((target.craft(images) - target.decide(images)).detach().abs().max()) > 1e-5
        found = images.clone()
        found[:, 0, 1] += threat.epsilon * (2 * torch.rand(len(images), 2, generator=generator) - 1)
        if not (self.exact and rounded):
            for place, number in enumerate(numbers):
                if number in self.breaks:
                    found[place, 0, 0, 1] += threat.epsilon
        return found


def scripted(*breaks: int, label: str = "scripted", **more: object) -> Scripted:
    return Scripted(frozenset(breaks), label, **more)  # type: ignore[arg-type]
