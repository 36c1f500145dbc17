"""Robustness watched during training, on held-out images only: PGD, FGSM and the mass on virtual classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsmooth.attacks import FGSM, PGD, Target
from vsmooth.bounds import MOST_EPOCHS, check_count
from vsmooth.data import BatchSource
from vsmooth.head import virtual_heads
from vsmooth.methods.adversarial.crafting import Crafting
from vsmooth.methods.base import bare
from vsmooth.models import inference_network
from vsmooth.records.run import EpochRecord

ROBUST, ONE_STEP = "robust_accuracy", "fgsm_accuracy"
_MOST_IMAGES, _MOST_STEPS = 10_000_000, 10_000
_FALLEN, _CLEAR = 0.5, 0.05


@dataclass(frozen=True)
class Watch:
    """PGD on the K real logits of held-out images after each epoch, from a random start, in steps of 2.5 epsilon /
    ``steps``; an image counts as robust if it is classified correctly and no step of the attack changes that.

    images: how many of the validation split, its first ones; 0: none. patience: the training ends after so many epochs
    without a higher robust accuracy; ``None``: it runs to its end.
    Errors: ValueError for negative numbers, steps or patience below 1, a patience without images.
    """

    images: int = 1000
    steps: int = 10
    patience: int | None = None

    def __post_init__(self) -> None:
        check_count("the number of watched images", self.images, 0, _MOST_IMAGES, "no validation split has more")
        check_count("the steps of the watching attack", self.steps, 1, _MOST_STEPS, "each epoch would wait for them")
        if self.patience is not None:
            check_count("patience", self.patience, 1, MOST_EPOCHS, "no training has more epochs")
            if not self.images:
                raise ValueError("patience needs held-out images to be attacked, got 0: give --watch-images a number")

    def notice(self, history: Sequence[EpochRecord]) -> str | None:
        """A sentence where the one-step accuracy rose while the robust accuracy fell below half of its best.

        Both changes are of the last epoch against the best one before it, and of at least 5 points. That is the
        signature of catastrophic overfitting (Wong et al., "Fast is better than free", ICLR 2020, Sec. 5.3).
        """
        watched = [epoch for epoch in history if ROBUST in epoch.validation]
        if len(watched) < 2 or watched[-1] is not history[-1]:
            return None
        last = history[-1]
        best = max(watched[:-1], key=lambda epoch: epoch.validation[ROBUST])
        fallen = last.validation[ROBUST] < _FALLEN * best.validation[ROBUST] - _CLEAR
        risen = last.validation[ONE_STEP] > best.validation[ONE_STEP] + _CLEAR
        if not (fallen and risen):
            return None
        before, now = (100 * epoch.validation[ROBUST] for epoch in (best, last))
        return (
            f"catastrophic overfitting in epoch {last.epoch}: accuracy under PGD fell from {before:.1f} % (epoch "
            f"{best.epoch}) to {now:.1f} % while under FGSM it rose to {100 * last.validation[ONE_STEP]:.1f} %; take "
            "more attack steps, a smaller step size or the best checkpoint"
        )


def watch_robustness(
    model: nn.Module, batches: BatchSource, num_classes: int, crafting: Crafting, watch: Watch
) -> dict[str, float]:
    """Shares of the watched images that stand, by name; empty where none is watched.

    robust_accuracy, fgsm_accuracy: under PGD and FGSM with the whole radius. virtual_mass, virtual_mass_attacked: mean
    softmax mass on the virtual classes, of the clean images and of those that PGD leaves; for networks that have them.
    """
    network, sums, count = bare(model), dict[str, float](), 0
    for images, labels in _first(batches, watch.images):
        real, whole = (_frozen(network, images, real_only) for real_only in (True, False))
        target = Target(num_classes, real.forward, real.forward)
        right = target.right(images, labels)
        pgd = PGD(steps=watch.steps, random_start=True, keep="best")
        attacked = pgd(target, images, labels, crafting.threat, right=right)
        one_step = FGSM()(target, images, labels, crafting.threat, right=right)
        found = {ROBUST: ~attacked.fooled, ONE_STEP: ~one_step.fooled}
        if virtual_heads(network):
            found["virtual_mass"] = _virtual_mass(whole, images, num_classes)
            found["virtual_mass_attacked"] = _virtual_mass(whole, attacked.images, num_classes)
        for name, values in found.items():
            sums[name] = sums.get(name, 0.0) + float(values.double().sum())
        count += len(images)
    return {name: total / count for name, total in sums.items()}


def _first(batches: BatchSource, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    left = count
    if not left:
        return
    for images, labels in batches.epoch(0):
        yield images[:left].contiguous(), labels[:left]
        left -= len(images)
        if left <= 0:
            return


def _frozen(network: nn.Module, images: Tensor, real_only: bool) -> nn.Module:
    with torch.autocast(images.device.type, enabled=False):
        return inference_network(network, images[:4], real_only=real_only)


@torch.no_grad()
def _virtual_mass(network: nn.Module, images: Tensor, num_classes: int) -> Tensor:
    mass: Tensor = network(images).softmax(1)[:, num_classes:].sum(1)
    return mass
