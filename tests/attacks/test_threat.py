"""The ball: projections against their defining property, starts, ascent directions, bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from attack_builders import THREATS
from torch import Tensor

from vsmooth.attacks import Target, ThreatModel


def origin(size: int = 6) -> Tensor:
    images = torch.rand(16, 3, size, size, generator=torch.Generator().manual_seed(0))
    images[:, 0], images[:4] = 0, 1
    return images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize("size", [6, 64])
def test_projections_land_inside_and_stay(threat: ThreatModel, size: int) -> None:
    images = origin(size)
    for spread in (1e-3, 0.5, 100.0):
        moved = images + spread * torch.randn(images.shape, generator=generator())
        inside = threat.project(moved, images)
        distance = (inside.double() - images.double()).flatten(1)  # in float64: not the rounding of `distance`
        length = distance.abs().amax(1) if threat.norm == "linf" else distance.norm(dim=1)
        assert (length <= threat.epsilon + 1e-6).all()
        assert threat.contains(inside, images).all()
        assert inside.min() >= 0
        assert inside.max() <= 1
        assert threat.contains(threat.project(inside, images), images).all()


def test_linf_projection_by_hand() -> None:
    start, threat = torch.full((1, 1, 1, 4), 0.5), ThreatModel("linf", 0.25)
    start[..., 3] = 1.0
    moved = torch.tensor([0.6, 0.9, 0.1, 1.5]).view(1, 1, 1, 4)
    assert threat.project(moved, start).flatten().tolist() == pytest.approx([0.6, 0.75, 0.25, 1.0])


def test_l2_projection_by_hand() -> None:
    start, threat = torch.full((1, 1, 1, 2), 0.5), ThreatModel("l2", 0.25)
    moved = start + torch.tensor([0.3, 0.4])
    assert threat.project(moved, start).flatten().tolist() == pytest.approx([0.65, 0.7])
    assert threat.distance(moved, start).item() == pytest.approx(0.5)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_random_starts_fill_the_ball(threat: ThreatModel) -> None:
    images = torch.full((64, 1, 2, 2), 0.5)
    small = ThreatModel(threat.norm, 0.2)
    found = small.random_start(images, generator())
    assert small.contains(found, images).all()
    share = small.distance(found, images) / small.epsilon
    assert share.max() > 0.9
    assert share.mean() == pytest.approx(4 / 5, abs=0.08)  # of the largest of 4 uniforms; of a radius ~ r^3 in 4-d
    assert torch.equal(found, small.random_start(images, generator()))
    assert not torch.equal(found, small.random_start(images, generator(1)))
    assert threat.contains(threat.random_start(origin(), generator()), origin()).all()


def test_ascent_is_the_sign_or_a_unit_vector_sample_by_sample() -> None:
    gradient = torch.randn(3, 1, 2, 2, generator=generator())
    assert torch.equal(ThreatModel("linf").ascent(gradient), gradient.sign())
    expected = gradient / gradient.flatten(1).norm(dim=1).view(3, 1, 1, 1)
    torch.testing.assert_close(ThreatModel("l2").ascent(gradient), expected)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_ascent_of_odd_gradients(norm: Any) -> None:
    threat, up = ThreatModel(norm), torch.randn(1, 1, 2, 2, generator=generator())
    assert not threat.ascent(torch.zeros(2, 1, 2, 2)).any()
    torch.testing.assert_close(threat.ascent(up * 1e-35), threat.ascent(up))  # the square is 0 in float32
    torch.testing.assert_close(threat.ascent(up * 1e30), threat.ascent(up))  # the square is infinite
    broken = torch.tensor([math.nan, 1.0, 0.0, math.nan]).view(1, 1, 2, 2)
    assert threat.ascent(broken).flatten().tolist() == [0, 1, 0, 0]
    assert threat.ascent(torch.tensor([math.inf, 0.0, 0.0, 0.0]).view(1, 1, 2, 2)).flatten().tolist() == [1, 0, 0, 0]


def test_contains_tells_what_is_outside() -> None:
    start = torch.full((5, 1, 1, 2), 0.5)
    images = start.clone()
    images[0, ..., 0] += 0.3  # at the edge
    images[1, ..., 0] += 0.3 + 1e-5
    images[2, ..., 0] = math.nan
    images[3] -= 0.3
    outside = ThreatModel("linf", 0.3, low=0.0, high=0.7)
    assert ThreatModel("linf", 0.3).contains(images, start).tolist() == [True, False, False, True, True]
    assert ThreatModel("l2", 0.3).contains(images, start).tolist() == [True, False, False, False, True]
    assert outside.contains(images, start).tolist() == [False, False, False, True, True]


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="epsilon must be 0 or a positive number, got None"):
        ThreatModel("linf", None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"epsilon must be 0 or a positive number, got -0\.1"):
        ThreatModel(epsilon=-0.1)
    with pytest.raises(ValueError, match="got nan"):
        ThreatModel(epsilon=math.nan)
    with pytest.raises(ValueError, match=r"epsilon 8 is more than the linf distance .* did you mean 8/255\?"):
        ThreatModel(epsilon=8)
    with pytest.raises(ValueError, match="norm must be 'linf' or 'l2', got 'l1'"):
        ThreatModel("l1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"low < high, got 1.0 and 0.0"):
        ThreatModel(low=1.0, high=0.0)


def test_a_target_checks_its_logits() -> None:
    images, labels = torch.zeros(2, 1, 1, 1), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        Target(1, lambda x: x, lambda x: x)
    wide = Target(2, lambda x: x.new_zeros(2, 1), lambda x: x.new_zeros(2, 3))
    with pytest.raises(ValueError, match=r"decide must give the K real logits \(2, 2\), got \(2, 3\)"):
        wide.right(images, labels)
    with pytest.raises(ValueError, match=r"craft must give logits \(N, K\) or .* K = 2, got \(2, 1\)"):
        wide.real(wide.craft(images))


def test_ties_and_nan_are_decided() -> None:
    logits = torch.tensor([[1.0, 1.0], [1.0, 1.0], [math.nan, 0.0], [0.0, math.nan]])
    target = Target(2, lambda x: logits, lambda x: logits)
    assert target.right(torch.zeros(4, 1, 1, 1), torch.tensor([0, 1, 0, 1])).tolist() == [True, False, False, False]
