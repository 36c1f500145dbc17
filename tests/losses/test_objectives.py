"""Labels as they are typed: every good form, every bad one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing
from vsmooth.losses.catalogue import Candidates, parse_candidates, parse_objective
from vsmooth.losses.objective import LabelObjective


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one-hot", OneHot()),
        ("onehot", OneHot()),
        (" One-Hot ", OneHot()),
        ("ls:0.1", LabelSmoothing(0.1)),
        ("label-smoothing:0.1", LabelSmoothing(0.1)),
        ("vs:0.3", VirtualSmoothing(0.3)),
        ("VS:.3", VirtualSmoothing(0.3)),
        ("virtual-smoothing:0.3", VirtualSmoothing(0.3)),
        ("vs:0.3:20", VirtualSmoothing(0.3, num_virtual=20)),
        ("vs:0", VirtualSmoothing(0.0)),
        ("ls:1", LabelSmoothing(1.0)),
        ("ls:auto", Candidates(LabelObjective(LabelSmoothing()))),
        ("vs:auto", Candidates(LabelObjective(VirtualSmoothing()))),
        ("vs:auto:20", Candidates(LabelObjective(VirtualSmoothing(num_virtual=20)))),
    ],
)
def test_good_forms(text: str, expected: LabelScheme | Candidates) -> None:
    wanted = LabelObjective(expected) if isinstance(expected, LabelScheme) else expected
    assert parse_candidates(text) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "vss:0.3",
            r"unknown label 'vss:0.3'; did you mean vs\? labels are one-hot, ls:ALPHA, vs:ALPHA or vs:ALPHA:V",
        ),
        ("one_hot", r"did you mean one-hot\?"),
        ("label_smoothing:0.1", r"did you mean ls\?"),
        ("virtual:0.1", r"did you mean vs\?"),
        ("xyz", "unknown label 'xyz'; labels are one-hot"),
        ("", "unknown label ''; labels are"),
        ("0.3", "unknown label '0.3'"),
        ("one-hot:0.1", "one-hot takes no value, got 'one-hot:0.1'"),
        ("one-hot:auto", "one-hot takes no value"),
        ("vs", "cannot read label 'vs'; labels of this name are vs:ALPHA or vs:ALPHA:V"),
        ("vs:", "ALPHA in label 'vs:' is not a number; labels of this name are vs:ALPHA or"),
        ("vs:high", "ALPHA in label 'vs:high' is not a number"),
        ("ls:0.1:20", "cannot read label 'ls:0.1:20'; labels of this name are ls:ALPHA$"),
        ("ls:auto:20", "cannot read label 'ls:auto:20'"),
        ("vs:0.3:20:5", "cannot read label 'vs:0.3:20:5'"),
        ("vs:0.3:", "V in label 'vs:0.3:' is not a number"),
        ("vs:0.3:2.5", "V in label 'vs:0.3:2.5' is not a number"),
        ("vs:0.3:0", "num_virtual must be .*at least 1 .*got 0"),
        ("vs:auto:-1", "num_virtual must be .*at least 1 .*got -1"),
        ("vs:1.5", r"alpha must be a number in \[0, 1\], got 1.5"),
        ("ls:-0.1", r"alpha must be a number in \[0, 1\], got -0.1"),
        ("vs:nan", r"alpha must be a number in \[0, 1\], got nan"),
    ],
)
def test_bad_forms(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_candidates(text)


@pytest.mark.parametrize(
    ("scheme", "text"),
    [
        (OneHot(), "one-hot"),
        (LabelSmoothing(0.1), "ls:0.1"),
        (LabelSmoothing(1), "ls:1"),
        (VirtualSmoothing(0.0), "vs:0"),
        (VirtualSmoothing(0.3, num_virtual=20), "vs:0.3:20"),
        (VirtualSmoothing(1 / 3), "vs:0.3333333333333333"),  # not rounded: it names the run
        (VirtualSmoothing(1e-7), "vs:1e-07"),
    ],
)
def test_text_is_read_back(scheme: LabelScheme, text: str) -> None:
    assert LabelObjective(scheme).text == text
    assert parse_objective(text) == LabelObjective(scheme)


def test_distribution_has_no_text() -> None:
    with pytest.raises(ValueError, match="has no text for a distribution over the virtual classes"):
        _ = LabelObjective(VirtualSmoothing(0.3, distribution=(0.5, 0.5))).text


def test_candidates_keep_everything_but_alpha() -> None:
    asked = Candidates(LabelObjective(VirtualSmoothing(num_virtual=7)))
    assert asked.text == "vs:auto:7"
    assert asked.objectives() == tuple(
        LabelObjective(VirtualSmoothing(alpha, num_virtual=7)) for alpha in LabelObjective.usual
    )
    assert replace(asked, grid=(0.2,)).objectives() == (LabelObjective(VirtualSmoothing(0.2, num_virtual=7)),)
    with pytest.raises(ValueError, match="one-hot has no parameter to choose"):
        LabelObjective(OneHot()).with_parameter(0.1)
    with pytest.raises(ValueError, match="'vs:auto' asks for a choice on validation data"):
        parse_objective("vs:auto")


def test_names_and_numbers_of_virtual_classes() -> None:
    found = [parse_objective(text) for text in ("one-hot", "ls:0.1", "vs:0.30", "vs:0.3:4")]
    assert [objective.name for objective in found] == ["one-hot", "LS 0.1", "VS 0.3", "VS 0.3"]
    assert [objective.num_virtual(10) for objective in found] == [0, 0, 10, 4]
    assert [objective.parameter for objective in found] == [None, 0.1, 0.3, 0.3]


@pytest.mark.parametrize("text", ["one-hot", "ls:0.2", "vs:0.3", "vs:0.3:2"])
def test_the_loss_is_cross_entropy_with_the_encoded_labels(text: str) -> None:
    objective, generator = parse_objective(text), torch.Generator().manual_seed(0)
    assert isinstance(objective, LabelObjective)
    width = 4 + objective.num_virtual(4)
    logits = torch.randn(6, width, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.arange(6) % 4
    found = objective.loss(logits, targets, 4)
    soft = objective.scheme.encode(torch.nn.functional.one_hot(targets, 4).double(), 4)
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits, soft))
    assert torch.autograd.gradcheck(lambda z: objective.loss(z, targets, 4), logits)
