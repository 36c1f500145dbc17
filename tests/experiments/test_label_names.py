"""Labels as they are typed: every good form, every bad one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vsmooth.experiments.specs.label_names import ALPHA_GRID, AutoAlpha, label_text, parse_label
from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing


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
        ("ls:auto", AutoAlpha(LabelSmoothing())),
        ("vs:auto", AutoAlpha(VirtualSmoothing())),
        ("vs:auto:20", AutoAlpha(VirtualSmoothing(num_virtual=20))),
    ],
)
def test_good_forms(text: str, expected: LabelScheme | AutoAlpha) -> None:
    assert parse_label(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "vss:0.3",
            r"unknown label 'vss:0.3'; did you mean vs\? labels are one-hot, ls:ALPHA, vs:ALPHA, vs:ALPHA:V",
        ),
        ("one_hot", r"did you mean one-hot\?"),
        ("label_smoothing:0.1", r"did you mean label-smoothing\?"),
        ("virtual:0.1", r"did you mean virtual-smoothing\?"),
        ("xyz", "unknown label 'xyz'; labels are one-hot"),
        ("", "unknown label ''; labels are"),
        ("0.3", "unknown label '0.3'"),
        ("one-hot:0.1", "one-hot takes no alpha, got 'one-hot:0.1'"),
        ("one-hot:auto", "one-hot takes no alpha"),
        ("vs", "cannot read label 'vs'; labels are"),
        ("vs:", "alpha in label 'vs:' is not a number; labels are"),
        ("vs:high", "alpha in label 'vs:high' is not a number"),
        ("ls:0.1:20", "cannot read label 'ls:0.1:20'"),
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
        parse_label(text)


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
    assert label_text(scheme) == text
    assert parse_label(text) == scheme


def test_distribution_has_no_text() -> None:
    with pytest.raises(ValueError, match="has no text for a distribution over the virtual classes"):
        label_text(VirtualSmoothing(0.3, distribution=(0.5, 0.5)))


def test_candidates_keep_everything_but_alpha() -> None:
    label = AutoAlpha(VirtualSmoothing(num_virtual=7))
    assert label.candidates() == tuple(VirtualSmoothing(alpha, num_virtual=7) for alpha in ALPHA_GRID)
    assert replace(label, grid=(0.2,)).candidates() == (VirtualSmoothing(0.2, num_virtual=7),)
