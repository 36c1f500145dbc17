"""Bad input of the attacks: each mistake is named, with its value and the remedy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from attack_builders import CLASSES, images_and_labels, network, target_of
from torch import Tensor

from vsmooth.attacks import FGSM, PGD, AdaptiveMargin, Attack, LambdaSweep, MultiTargetPGD, ThreatModel


@dataclass(frozen=True)
class Wrong(Attack):
    """Gives images of another shape."""

    @property
    def name(self) -> str:
        return "wrong"

    def _craft(self, *arguments: Any) -> Tensor:
        return arguments[1][:, :1]


def test_bad_images_and_labels_are_named() -> None:
    target = target_of(network(), CLASSES)
    images, labels = images_and_labels(target)
    threat = ThreatModel()

    def refused(images: Tensor, labels: Tensor, message: str, **more: Any) -> None:
        with pytest.raises(ValueError, match=message):
            FGSM()(target, images, labels, more.pop("threat", threat), **more)

    refused(2 * images, labels, r"images must lie in \[0, 1\], got 0 to 2")
    refused((images - 0.5) / 0.25, labels, r"got -2 to 2: .*before normalisation, which belongs into the model")
    refused(255 * images, labels, "bytes divided by 255")
    refused(torch.full_like(images, math.nan), labels, r"images must lie in \[0, 1\], got nan")
    refused(images[0], labels, r"floating point \(N, C, H, W\), got torch.float32 \(3, 6, 6\)")
    refused((255 * images).byte(), labels, "floating point .* got torch.uint8")
    refused(images[:0], labels[:0], "images are empty")
    refused(images, labels + CLASSES, r"target \d is out of range: class indices must be in 0\.\.3")
    refused(images, labels - 4, r"target -\d is out of range")
    refused(images, labels[:-1], r"labels must be class indices \(12,\), one for each image, got torch.int64 \(11,\)")
    refused(images, labels.float(), r"labels must be class indices .* got torch.float32")
    refused(images, labels > 0, r"labels must be class indices .* got torch.bool")
    refused(images, labels, r"right must be bool \(12,\), .* got torch.int64", right=labels)
    refused(images, labels, r"epsilon 128 is more than the l2 distance .* 10.39", threat=ThreatModel("l2", 128.0))
    with pytest.raises(ValueError, match=r"wrong gave images \(10, 1, 6, 6\) for \(10, 3, 6, 6\)"):
        Wrong()(target, images, labels, threat)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PGD(steps=0), "steps must be a whole number of at least 1, got 0"),
        (lambda: PGD(steps=2.5), "steps must be a whole number of at least 1, got 2.5"),  # type: ignore[arg-type]
        (lambda: PGD(step_size=0.0), "step_size must be positive, or None .* got 0.0"),
        (lambda: PGD(step_size=math.nan), "step_size must be positive, or None .* got nan"),
        (lambda: PGD(restarts=0), "restarts must be a whole number of at least 1, got 0"),
        (lambda: PGD("cw"), "objective must be one of ce, kl, margin, dlr .* got 'cw'"),  # type: ignore[arg-type]
        (lambda: PGD(rule="linear"), "rule must be one of constant, cosine, momentum, got 'linear'"),  # type: ignore[arg-type]
        (lambda: PGD(keep="all"), "keep must be one of last, best, got 'all'"),  # type: ignore[arg-type]
        (lambda: PGD("kl"), "objective 'kl' needs random_start=True: its gradient at the clean image is zero"),
        (lambda: FGSM("kl"), "the gradient of 'kl' is zero: use 'ce' or 'margin'"),
        (lambda: MultiTargetPGD(targets=0), "targets must be a whole number of at least 1, got 0"),
        (lambda: MultiTargetPGD(steps=0), "steps must be"),
        (lambda: MultiTargetPGD(restarts=0), "restarts must be"),
        (lambda: LambdaSweep(lambdas=()), "lambdas must name at least one weight"),
        (lambda: LambdaSweep(lambdas=(0, -1)), "lambda must be 0 or a positive number, got -1"),
        (lambda: LambdaSweep(restarts=0), "restarts must be"),
        (lambda: AdaptiveMargin(math.inf), "lambda must be 0 or a positive number, got inf"),
    ],
)
def test_bad_settings_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_settings_that_do_not_fit_the_target_are_named() -> None:
    real, images = target_of(network(virtual=0), CLASSES), torch.rand(4, 3, 6, 6)
    labels = real.decide(images).argmax(1)
    for attack in (LambdaSweep(), PGD(AdaptiveMargin())):
        with pytest.raises(ValueError, match='needs K \\+ V logits, got 4 for 4 real classes: attack the view "all"'):
            attack(real, images, labels, ThreatModel())
    two = target_of(network(classes=2, virtual=0), 2)
    with pytest.raises(ValueError, match="the DLR loss needs 3 classes or more, got 2; use the margin instead"):
        PGD("dlr")(two, images, two.decide(images).argmax(1), ThreatModel())
    with pytest.raises(ValueError, match=r"step_size 2 is more than the linf .* did you mean 2/255\?"):
        PGD(step_size=2)(real, images, labels, ThreatModel())
