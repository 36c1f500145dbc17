"""The target of an attack: the logits that the attacker maximises on, and those that decide."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vsmooth.labels import check_num_classes

Logits = Callable[[Tensor], Tensor]
JUDGEMENTS = 20  # of a randomised network
_BROKEN_SHARE = 0.8  # of the judgements; of 20, an image that is wrong half of the time reaches it in 0.6 % of cases


@dataclass(frozen=True)
class Target:
    """A classifier as an attack sees it: two functions of images (N, C, H, W).

    num_classes: K, the real classes.
    craft: images -> logits (N, K), or (N, K + V) for the view "all", differentiable in the images. It may be an
        equivalent that is faster (folded, bf16): it never decides.
    decide: images -> float32 logits (N, K) of the model that is shipped.
    judgements: how often `decide` is asked about an image: once, or `JUDGEMENTS` times where it is randomised. One
        answer would not do then: an attack asks so often that chance alone would break most images.

    Errors: ValueError for K < 2 and fewer than 1 judgement, and, when asked, for logits of another shape.
    """

    num_classes: int
    craft: Logits
    decide: Logits
    judgements: int = 1

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        if self.judgements < 1:
            raise ValueError(f"judgements must be at least 1, got {self.judgements}")
        if any(getattr(part, "training", False) for part in (self.craft, self.decide)):
            warnings.warn(
                "the network is in train mode: attacks change its BatchNorm and meet its dropout; call eval() first",
                stacklevel=3,
            )

    def right(self, images: Tensor, labels: Tensor) -> Tensor:
        """(N,) bool: the decision is the label, in more than half of the judgements."""
        return 2 * self._wrong(images, labels) < self.judgements

    def broken(self, images: Tensor, labels: Tensor) -> Tensor:
        """(N,) bool: the decision is another class, in at least 80 % of the judgements (16 of 20)."""
        return self._wrong(images, labels) >= math.ceil(_BROKEN_SHARE * self.judgements)

    def _wrong(self, images: Tensor, labels: Tensor) -> Tensor:
        """(N,) int64: in how many judgements the decision is another class."""
        return torch.stack([~self._right_once(images, labels) for _ in range(self.judgements)]).sum(0)

    def _right_once(self, images: Tensor, labels: Tensor) -> Tensor:
        """(N,) bool: the argmax of the K real logits is the label. A row with NaN is right about nothing.

        As in ``torch.argmax``, a tie goes to the lowest class on the CPU.
        """
        with torch.no_grad():
            logits = self.decide(images)
        if logits.shape != (len(images), self.num_classes):
            wanted = (len(images), self.num_classes)
            raise ValueError(f"decide must give the K real logits {wanted}, got {tuple(logits.shape)}")
        return (logits.argmax(1) == labels) & ~logits.isnan().any(1)

    def fooled(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """(N,) bool: wrong by the logits that ``craft`` gave for the images, and ``decide`` confirms it."""
        claimed = self.real(logits).argmax(1) != labels
        if not claimed.any():
            return claimed
        return claimed.index_put((claimed,), self.broken(images[claimed], labels[claimed]))

    def real(self, logits: Tensor) -> Tensor:
        """The K real ones of logits that ``craft`` gave. ValueError if there are fewer."""
        if logits.ndim != 2 or logits.shape[1] < self.num_classes:
            found = tuple(logits.shape)
            raise ValueError(f"craft must give logits (N, K) or (N, K + V) with K = {self.num_classes}, got {found}")
        return logits[:, : self.num_classes]
