"""Two networks that hide their gradients are caught, an honest one is not; what the numbers are, from a linear one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vsmooth.attacks import PGD, Attack, MultiTargetPGD, Target, ThreatModel
from vsmooth.evaluate import (
    Column,
    Evaluation,
    FolderParts,
    SanityChecks,
    SanityReport,
    Standing,
    Targets,
    evaluate_robust,
    evaluate_sanity,
    findings,
)
from vsmooth.evaluate.robust.targets import Precision
from vsmooth.head import LogitSet
from vsmooth.records.sanity import LossGrid, SweepPoint
from vsmooth.records.serialisation import from_plain, to_plain

THREAT = ThreatModel(epsilon=0.08)
TEMPLATES = torch.eye(4).repeat_interleave(4, dim=1)  # each class is the sum of one quarter of the pixels


@dataclass(frozen=True)
class _EverySign(Attack):
    """Raises or lowers each quarter of the image by epsilon: all 16 ways, asking for decisions only."""

    @property
    def name(self) -> str:
        return "every sign"

    def _craft(
        self, target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        found = images.clone()
        for signs in product((-1.0, 1.0), repeat=4):
            moved = images + threat.epsilon * torch.tensor(signs).repeat_interleave(4).reshape(1, 1, 4, 4)
            moved = threat.project(moved, images)
            broken = ~target.right(moved, labels)
            found[broken] = moved[broken]
        return found


CHECKS = SanityChecks((MultiTargetPGD(10),), (_EverySign(),), steps=(5, 20, 40), sweep_steps=20)


class _Linear(nn.Module):
    """scale * (templates . (c * x)), of pixels rounded to `levels` levels where given."""

    def __init__(self, scale: float = 1.0, levels: int | None = None) -> None:
        super().__init__()
        self.scale, self.levels, self.weight = scale, levels, nn.Parameter(TEMPLATES.clone())

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)
        if self.levels is not None:
            pixels = (pixels * self.levels).round() / self.levels
        return self.scale * pixels @ self.weight.T


def _images() -> tuple[Tensor, Tensor]:
    """Class n's quarter is brighter than the others, which are grey, by 0.04 to 0.42."""
    labels = torch.arange(40) % 4
    lead = torch.linspace(0.04, 0.42, 40)
    quarters = 0.3 + torch.nn.functional.one_hot(labels, 4) * lead[:, None]
    return quarters.repeat_interleave(4, 1).reshape(40, 1, 4, 4), labels


def _check(model: nn.Module, **more: object) -> SanityReport:
    images, labels = _images()
    return evaluate_sanity(
        model.eval(), images, labels, THREAT, CHECKS, num_classes=4, **more,  # type: ignore[arg-type]
    )


def test_a_network_that_stands_in_wide_balls_is_not_accused() -> None:
    images, labels = _images()
    report = evaluate_sanity(_Linear().eval(), images, labels, ThreatModel(epsilon=0.001), CHECKS, num_classes=4)
    assert report.epsilons[-2].standing.count > 0  # at 64 times epsilon: leads of up to 0.42 fall at 0.21
    assert report.epsilons[-1].at == 0.5
    assert findings(report) == ()


def test_an_honest_network() -> None:
    images, labels = _images()
    report = _check(_Linear(), indices=torch.arange(40) + 7)
    assert findings(report) == ()
    # A linear network falls where its lead is under 2 epsilon, whatever the steps.
    standing = int((torch.linspace(0.04, 0.42, 40) > 0.16).sum())
    assert {point.standing.count for point in report.steps} == {standing}
    assert [point.at for point in report.steps] == [5, 20, 40]
    assert report.white_box == report.square == Standing.of(standing, 40)
    assert (report.images, report.square_broke, report.zero_gradient_share) == (40, 0, 0.0)
    for point in report.epsilons:
        assert point.standing.count == int((torch.linspace(0.04, 0.42, 40) > 2 * point.at).sum())
    assert [point.at for point in report.epsilons] == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32])
    assert report.epsilons[-1].standing.count == 0

    surface = report.surface
    assert surface is not None
    assert surface.index == 7
    loss = torch.tensor(surface.loss)
    assert loss.shape == (21, 21)
    clean = nn.functional.cross_entropy(_Linear()(images[:1]), labels[:1])
    torch.testing.assert_close(loss[10, 10], clean.detach())
    moved = images[:1] - 0.08 * torch.tensor([1.0, -1, -1, -1]).repeat_interleave(4).reshape(1, 1, 4, 4)
    assert labels[0] == 0  # so the gradient darkens its own quarter and brightens the others
    torch.testing.assert_close(loss[20, 10], nn.functional.cross_entropy(_Linear()(moved), labels[:1]).detach())
    assert (loss[1:] > loss[:-1]).all()


def test_rounded_pixels_hide_the_gradient() -> None:
    found = findings(report := _check(_Linear(levels=64)))
    assert report.zero_gradient_share == 1
    assert report.square_broke > 0
    assert all(sentence.startswith("suspicious: ") for sentence in found)
    text = "\n".join(found)
    assert "the gradient of the cross entropy is exactly 0 for 100.0 % of the images" in text
    assert f"broke {report.square_broke} of 40 images that every white-box attack left standing" in text


class _StraightThrough(torch.autograd.Function):
    """Rounds to 64 levels; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor) -> Tensor:
        return (pixels * 64).round() / 64

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Quantised(_Linear):
    """Rounds like the network whose gradients are hidden, but with a straight-through estimator beside a BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)
        nn.init.ones_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.norm(self.conv(_StraightThrough.apply(images))))


def test_a_straight_through_estimator_is_attacked_as_it_is_and_not_blamed() -> None:
    assert findings(_check(_Quantised())) == ()
    images, labels = _images()
    column = Column("CE", "real", (PGD("ce"),))
    found = evaluate_robust(_Quantised().eval(), images, labels, (column,), THREAT, num_classes=4)
    exact = evaluate_robust(_Linear().eval(), images, labels, (column,), THREAT, num_classes=4)
    assert abs(int(found.stands.sum()) - int(exact.stands.sum())) <= 2  # rounding moves a lead by less than 1/64
    assert found.remarks == ("BatchNorms were not folded, which is slower: folding would change its input gradients.",)
    assert exact.remarks == ()


def test_saturated_logits_hide_the_gradient_of_the_cross_entropy() -> None:
    report = _check(_Linear(scale=1e4))
    (sentence,) = findings(report)  # the margin is not fooled: steps, epsilons and Square are as they should be
    assert "attacks on the cross entropy have nothing to follow" in sentence
    assert report.zero_gradient_share > 0.9
    images, labels = _images()
    columns = Column("CE", "real", (PGD("ce"),)), Column("margin", "real", (PGD("margin"),))
    ce, margin = evaluate_robust(_Linear(scale=1e4).eval(), images, labels, columns, THREAT, num_classes=4).columns
    assert int(ce.stands.sum()) > 36 > int(margin.stands.sum()) == report.white_box.count


def test_sentences_of_reports_made_up() -> None:
    whole = Standing.of(100, 100)

    def points(*counts: int) -> tuple[SweepPoint, ...]:
        return tuple(SweepPoint(10.0 * (at + 1), Standing.of(count, 100)) for at, count in enumerate(counts))

    fine = SanityReport(100, points(40, 39, 38), points(80, 40, 0), whole, whole, 1, 0.01)
    assert findings(fine) == ()
    for change, words in (
        ({"steps": points(40, 39, 30)}, r"more steps still break more images \(39.0 % stand after 20 steps, 30.0 %"),
        ({"epsilons": points(80, 40, 3)}, "3.0 % stand in a ball of epsilon 30, where an attack must"),
        ({"epsilons": points(40, 60, 0)}, r"more images stand in a wider ball \(40.0 % at epsilon 10, 60.0 % at 20\)"),
        ({"square_broke": 4}, r"broke 4 of 100 images .* 1% that accidents explain \(exact binomial test, p = 0.018\)"),
        ({"steps": points(90, 10, 10)}, r"10 steps are too few \(90.0 % stand after them, 10.0 % after 30\)"),
        ({"surface": LossGrid(7, (-1.0, 1.0), (0.0, 1.0), ((0.0, 0.0), (0.0, 0.0)))}, "image 7 is the same everywhere"),
        ({"zero_gradient_share": 0.25}, "exactly 0 for 25.0 % of the images"),
    ):
        (sentence,) = findings(replace(fine, **change))  # type: ignore[arg-type]
        assert re.search(words, sentence)
    assert from_plain(SanityReport, to_plain(fine)) == fine


def _with_square(broke: int, images: int) -> SanityReport:
    whole = Standing.of(images, images)
    return SanityReport(images, (), (), whole, whole, broke, 0.0)


def test_accidents_of_square_are_no_masking() -> None:
    """1 of 50 is an accident, and so is 1 of 2. At a true share of 1 % at most 5 % of networks are accused."""
    assert [bool(findings(_with_square(broke, 50))) for broke in range(5)] == [False, False, False, True, True]
    assert not findings(_with_square(1, 2))
    random = np.random.default_rng(0)
    for images in (20, 50, 100, 500):
        counts, times = np.unique(random.binomial(images, 0.01, size=20_000), return_counts=True)
        accused = [bool(findings(_with_square(int(count), images))) for count in counts]
        assert times[accused].sum() / times.sum() <= 0.05
    masked = random.binomial(100, 0.1, size=1000)
    assert np.mean([bool(findings(_with_square(int(count), 100))) for count in masked]) > 0.95


class _Counting(Targets):
    """Counts how often attacks ask for logits."""

    calls = 0

    def __call__(self, view: LogitSet, precision: Precision = "fp32") -> Target:
        target = super().__call__(view, precision)

        def craft(images: Tensor) -> Tensor:
            self.calls += 1
            return target.craft(images)

        return Target(4, craft, target.decide)


def test_it_resumes(tmp_path: Path) -> None:
    model = _Linear().eval()
    targets = _Counting(model, _images()[0], num_classes=4)

    first, done = _check(model, evaluation=Evaluation(parts=FolderParts(tmp_path), targets=targets)), targets.calls
    assert _check(model, evaluation=Evaluation(parts=FolderParts(tmp_path), targets=targets)) == first
    assert targets.calls - done == 2 < done  # the gradients and the surface; no attack
    with pytest.raises(ValueError, match="an epsilon of 0 is no attack"):
        evaluate_sanity(model, *_images(), ThreatModel(epsilon=0.0), CHECKS, num_classes=4)
