"""The bridge to AutoAttack against the package itself, and what is ours: random state, layouts, counts of classes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from pyautoattack import AutoAttack
from torch import Tensor, nn

from vsmooth.attacks import Target, ThreatModel
from vsmooth.attacks.autoattack import (
    AutoAttackMember,
    autoattack_flags,
    autoattack_version,
    rand_autoattack,
    standard_autoattack,
)

CLASSES, BATCH = 10, 12


@cache
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """A small convolutional network after a few steps on ten noisy patterns, and images of which some are near them."""
    torch.manual_seed(0)
    patterns = torch.rand(CLASSES, 3, 8, 8)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        labels = torch.randint(0, CLASSES, (count,))
        noise = torch.rand(count, 1, 1, 1) * torch.randn(count, 3, 8, 8)
        return (patterns[labels] + 0.8 * noise).clamp(0, 1), labels

    layers = (nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(), nn.Flatten())
    network = nn.Sequential(*layers, nn.Linear(64, CLASSES))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(100):
        images, labels = draw(64)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return network.eval().requires_grad_(False), *draw(24)


def plain(network: nn.Module, classes: int = CLASSES) -> Target:
    return Target(classes, network, network)


def cascade(
    members: Sequence[AutoAttackMember], target: Target, images: Tensor, labels: Tensor, threat: ThreatModel, seed: int
) -> tuple[Tensor, Tensor, list[int]]:
    """By hand, as the package does it: batches of what stands, members in turn."""
    found, stands, left = images.clone(), target.right(images, labels), []
    for member in members:
        for rows in stands.nonzero().flatten().split(BATCH):
            attacked = member(target, images[rows], labels[rows], threat, seed=seed)
            found[rows[attacked.fooled]] = attacked.images[attacked.fooled]
            stands[rows[attacked.fooled]] = False
        left.append(int(stands.sum()))
    return found, stands, left


def test_equal_to_the_official_standard_evaluation() -> None:
    network, images, labels = trained()
    epsilon = 0.1  # some images fall to the first member, some to a later one, and some stand
    official = AutoAttack(network, eps=epsilon, seed=3, version="standard")
    official.square.n_queries, official.fab.n_iter = 200, 20
    theirs, decisions = official.run_standard_evaluation(images, labels, batch_size=BATCH)
    ce, targeted, fab, square = standard_autoattack(CLASSES)
    last = [replace(member, keep="last") for member in (ce, targeted)]
    members = (*last, replace(fab, steps=20), replace(square, queries=200))
    threat = ThreatModel(epsilon=epsilon)
    ours, stands, left = cascade(members, plain(network), images, labels, threat, seed=3)
    assert torch.equal(stands, decisions == labels)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    right = int(plain(network).right(images, labels).sum())
    assert len(images) > right > left[0] > left[-1] > 0
    assert threat.contains(ours, images).all()


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("member", ["apgd-dlr", "fab-t", "square"])
def test_equal_to_an_official_member_by_itself(member: str, norm: str) -> None:
    network, images, labels = trained()
    epsilon = (0.2 if member == "square" else 0.12) * (1 if norm == "Linf" else 10)
    official = AutoAttack(network, norm=norm, eps=epsilon, seed=3, version="custom", attacks=[member])
    official.square.n_queries, official.fab.n_iter, official.apgd.n_restarts = 200, 20, 2
    theirs, decisions = official.run_standard_evaluation(images, labels, batch_size=BATCH)
    restarts = official.apgd.n_restarts if member == "apgd-dlr" else 1
    steps = 20 if member == "fab-t" else 100
    ours = AutoAttackMember(member, steps=steps, queries=200, restarts=restarts, keep="last")
    found, stands, left = cascade((ours,), plain(network), images, labels, ThreatModel(norm.lower(), epsilon), seed=3)
    assert torch.equal(stands, decisions == labels)
    torch.testing.assert_close(found, theirs, atol=1e-6, rtol=0)
    assert plain(network).right(images, labels).sum() > left[0] > 0


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("member", ["apgd-ce", "apgd-dlr", "apgd-t"])
def test_fooled_images_leave_and_the_others_are_as_in_the_package(member: str, norm: str) -> None:
    network, images, labels = trained()
    threat = ThreatModel(norm, 0.12 if norm == "linf" else 1.2)
    computed = {"last": 0, "best": 0}
    found: dict[str, Tensor] = {}
    for keep in computed:

        def craft(batch: Tensor, keep: str = keep) -> Tensor:
            computed[keep] += len(batch)
            return network(batch)

        target = Target(CLASSES, craft, network)
        attacked = AutoAttackMember(member, targets=3, restarts=2, keep=keep)(target, images, labels, threat, seed=3)
        found[keep] = torch.where(attacked.fooled[:, None, None, None], torch.nan, attacked.images)
        assert torch.equal(attacked.fooled, network(attacked.images).argmax(1) != labels)
        assert threat.contains(attacked.images, images).all()
    torch.testing.assert_close(found["best"], found["last"], atol=1e-6, rtol=0, equal_nan=True)
    assert 0 < found["best"].isnan().flatten(1).all(1).sum() < len(images)
    assert computed["best"] < 0.8 * computed["last"]


def test_an_image_that_only_the_crafting_network_takes_for_fooled_goes_on() -> None:
    network, images, labels = trained()
    right = plain(network).right(images, labels)
    images, labels, threat = images[right], labels[right], ThreatModel(epsilon=0.12)

    def pessimist(batch: Tensor) -> Tensor:
        """Gives the label too little, so that it is wrong a few steps before the network that decides."""
        rows = (batch[:, None] - images).abs().amax((2, 3, 4)).argmin(1)
        return network(batch) - 0.5 * F.one_hot(labels[rows], CLASSES)

    attack = AutoAttackMember("apgd-ce")
    sound = attack(plain(network), images, labels, threat)
    misled = attack(Target(CLASSES, pessimist, network), images, labels, threat)
    # Those that it takes for wrong when clean are not attacked by the package.
    attacked = pessimist(images).argmax(1) == labels
    assert 0 < (sound.fooled & attacked).sum() < attacked.sum()
    assert torch.equal(misled.fooled & attacked, sound.fooled & attacked)


def test_with_gradients_averaged_no_image_leaves() -> None:
    network, images, labels = trained()
    batches: list[int] = []

    def craft(batch: Tensor) -> Tensor:
        batches.append(len(batch))
        return network(batch)

    right = plain(network).right(images, labels)
    member = AutoAttackMember("apgd-ce", steps=5, eot=2)
    attacked = member(Target(CLASSES, craft, network), images[right], labels[right], ThreatModel(epsilon=0.3))
    assert attacked.fooled.any()
    assert set(batches[1:]) == {int(right.sum())}


def test_equal_to_the_official_rand_version() -> None:
    network, images, labels = trained()
    official = AutoAttack(network, eps=0.1, seed=1, version="rand")
    official.apgd.eot_iter = 2
    theirs, decisions = official.run_standard_evaluation(images, labels, batch_size=BATCH)
    members = rand_autoattack(CLASSES, eot=2)
    ours, stands, left = cascade(members, plain(network), images, labels, ThreatModel(epsilon=0.1), seed=1)
    assert torch.equal(stands, decisions == labels)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert left[0] > 0


def test_the_settings_are_those_of_the_official_versions() -> None:
    network, _, _ = trained()
    standard, rand = (AutoAttack(network, seed=0, version=version) for version in ("standard", "rand"))
    ours = {member.member: member for member in standard_autoattack(CLASSES)}
    assert list(ours) == standard.attacks_to_run
    assert [member.member for member in rand_autoattack(CLASSES)] == rand.attacks_to_run
    assert {member.eot for member in rand_autoattack(CLASSES)} == {rand.apgd.eot_iter}
    assert ours["square"].queries == standard.square.n_queries
    assert ours["apgd-t"].targets == standard.apgd_targeted.n_target_classes
    assert ours["fab-t"].targets == standard.fab.n_target_classes
    for name, official in (("apgd-ce", standard.apgd), ("apgd-t", standard.apgd_targeted), ("fab-t", standard.fab)):
        assert (ours[name].steps, ours[name].restarts) == (official.n_iter, official.n_restarts)
    assert [member.name for member in ours.values()] == ["APGD-CE", "APGD-T", "FAB-T", "Square"]


def test_the_random_state_of_the_caller_is_kept_and_the_seed_decides() -> None:
    network, images, labels = trained()
    member = AutoAttackMember("apgd-ce", steps=2)
    state = torch.get_rng_state()
    first, same, other = (
        member(plain(network), images, labels, ThreatModel(epsilon=0.3), seed=seed).images for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("member", ["apgd-dlr", "fab-t", "square"])
def test_channels_last_images_and_gradients(norm: str, member: str) -> None:
    network, images, labels = trained()
    relaid = images.contiguous(memory_format=torch.channels_last)

    def craft(pixels: Tensor) -> Tensor:
        assert pixels.is_contiguous()
        return network(pixels.contiguous(memory_format=torch.channels_last))

    attack = AutoAttackMember(member, targets=2, steps=5, queries=20)
    threat = ThreatModel(norm, 0.12 if norm == "linf" else 1.0)
    ours = attack(Target(CLASSES, craft, network), relaid, labels, threat)
    expected = attack(plain(network), images, labels, threat)
    assert expected.fooled.any()
    assert (ours.fooled != expected.fooled).sum() <= 1  # sums in another order


def far_class(virtual: int) -> nn.Module:
    """Six logits of which only the least likely moves with the image, by its mean; the label's is the largest."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 6 + virtual))
    with torch.no_grad():
        network[1].weight.zero_()[5] = 10 / 64
        network[1].bias.copy_(torch.tensor([3.0, 2.9, 2.8, 2.7, 2.6, -2.45] + [2.0] * virtual))
    return network


@pytest.mark.parametrize("member", ["apgd-t", "fab-t"])
def test_all_targets_reach_the_least_likely_class(member: str) -> None:
    network, images, labels = far_class(0), torch.full((2, 1, 8, 8), 0.5), torch.zeros(2, dtype=torch.long)
    threat = ThreatModel(epsilon=0.1)  # +1 on a logit that lacks 0.45
    for targets, reached in ((4, False), (5, True)):
        attacked = AutoAttackMember(member, targets)(plain(network, 6), images, labels, threat)
        assert attacked.fooled.tolist() == [reached] * 2


def test_with_virtual_classes_the_real_decision_counts() -> None:
    wide, images, labels = far_class(2), torch.full((2, 1, 8, 8), 0.5), torch.zeros(2, dtype=torch.long)
    members = standard_autoattack(8, targets=7)
    assert [member.targets for member in members[1:3]] == [7, 7]
    # The class that can be reached is a virtual one: the sample is broken for the package, not for us.
    order = torch.tensor([0, 1, 2, 3, 4, 6, 7, 5])
    virtual = Target(5, lambda pixels: wide(pixels)[:, order], lambda pixels: wide(pixels)[:, :5])
    real = Target(6, wide, lambda pixels: wide(pixels)[:, :6])
    for target, fooled in ((virtual, False), (real, True)):
        attacked = members[1](target, images, labels, ThreatModel(epsilon=0.1))
        assert attacked.fooled.tolist() == [fooled] * 2
    assert members[1](virtual, images, labels, ThreatModel(epsilon=0.1)).images.mean() > 0.55


@pytest.mark.parametrize(
    ("outputs", "names", "targets"),
    [
        (2, ["APGD-CE", "FAB-T", "Square"], 1),
        (3, ["APGD-CE", "APGD-DLR", "FAB-T", "Square"], 2),
        (4, ["APGD-CE", "APGD-T", "FAB-T", "Square"], 3),
        (100, ["APGD-CE", "APGD-T", "FAB-T", "Square"], 9),
    ],
)
def test_members_for_few_classes(outputs: int, names: list[str], targets: int) -> None:
    members = standard_autoattack(outputs)
    assert [member.name for member in members] == names
    assert {member.targets for member in members if member.member in ("apgd-t", "fab-t")} == {targets}
    assert len(rand_autoattack(outputs)) == (1 if outputs == 2 else 2)
    torch.manual_seed(0)
    few = min(outputs, 4)
    network, images = nn.Sequential(nn.Flatten(), nn.Linear(12, few)), torch.rand(4, 3, 2, 2)
    labels = network(images).argmax(1)
    for member in standard_autoattack(few):
        quick = replace(member, steps=20, queries=50)
        assert quick(plain(network, few), images, labels, ThreatModel(epsilon=1.0)).fooled.any()


@pytest.fixture
def tracer() -> Iterator[object]:
    """A debugger's, as it were."""

    def trace(frame: object, event: str, argument: object) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    yield trace
    sys.settrace(before)


def test_flags_of_the_package(tracer: object, caplog: pytest.LogCaptureFixture) -> None:
    network, images, labels = trained()

    def purified(pixels: Tensor) -> Tensor:
        with torch.enable_grad():
            moving = pixels.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(network(moving).sum(), moving)
        return network(pixels + 0.01 * gradient)

    right = int(plain(network).right(images, labels).sum())
    blind = Target(CLASSES, lambda pixels: network(pixels.round() + 0 * pixels), network)
    kinds = {
        "randomized defense": Target(CLASSES, lambda pixels: network(pixels + torch.rand(pixels.shape)), network),
        "probability distribution": plain(nn.Sequential(network, nn.Softmax(1))),
        "dynamic defense": Target(CLASSES, network, purified),
        f"{right} points with zero gradient": blind,
    }
    assert right < len(images)
    with caplog.at_level(logging.WARNING):
        for words, target in kinds.items():
            (flag,) = autoattack_flags(target, images, labels)
            assert words in flag
            assert "flags_doc" not in flag
            assert autoattack_flags(plain(network), images, labels) == ()
    assert sys.gettrace() is tracer
    assert not caplog.records


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    network, images, labels = trained()
    target = Target(CLASSES, lambda pixels: network(pixels.round() + 0 * pixels), network)
    for member in standard_autoattack(CLASSES, targets=2):
        replace(member, steps=3, queries=10)(target, images, labels, ThreatModel())
    assert capsys.readouterr() == ("", "")
    assert not caplog.records


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert autoattack_version() == version("pyautoattack")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images, labels = trained()
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    calls = (
        autoattack_version,
        lambda: autoattack_flags(plain(network), images, labels),
        lambda: AutoAttackMember("square")(plain(network), images, labels, ThreatModel()),
    )
    for call in calls:
        with pytest.raises(ModuleNotFoundError, match=r'pip install pyautoattack \(or "vsmooth\[robust\]"\)'):
            call()


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="keep must be one of last, best, got 'first'"):
        AutoAttackMember("apgd-ce", keep="first")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"member must be one of apgd-ce, .*, got 'fab'"):
        AutoAttackMember("fab")
    for name in ("targets", "steps", "queries", "restarts", "eot"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got 0"):
            AutoAttackMember("square", **{name: 0})
    with pytest.raises(ValueError, match="AutoAttack needs 2 logits or more, got 1"):
        standard_autoattack(1)
    with pytest.raises(ValueError, match="targets must be at most 9 for 10 logits, got 10"):
        standard_autoattack(10, targets=10)


@pytest.mark.parametrize(
    ("member", "outputs", "message"),
    [
        ("apgd-dlr", 2, "APGD-DLR needs 3 logits or more for its DLR loss, got 2: leave it out"),
        ("apgd-t", 3, "APGD-T needs 4 logits or more"),
        ("apgd-t", 5, "targets must be at most 4 for 5 logits, got 9"),
        ("fab-t", 5, "targets must be at most 4 for 5 logits, got 9"),
    ],
)
def test_too_few_logits_are_named(member: str, outputs: int, message: str) -> None:
    network, images = nn.Sequential(nn.Flatten(), nn.Linear(12, outputs)), torch.rand(3, 3, 2, 2)
    labels = network(images).argmax(1)
    with pytest.raises(ValueError, match=message):
        AutoAttackMember(member)(plain(network, outputs), images, labels, ThreatModel())


def test_other_bounds_are_named() -> None:
    network, images, labels = trained()
    with pytest.raises(ValueError, match=r"AutoAttack knows pixels in \[0, 1\] alone, got bounds \[-1, 1\]"):
        AutoAttackMember("square")(plain(network), images, labels, ThreatModel(low=-1.0))
